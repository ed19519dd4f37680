"""Damaged and arbitrary frames from strangers and logged-in peers: answered or cut off, and all others are served."""

from __future__ import annotations

import asyncio
import contextlib
import random
import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest

from gatelink import messages
from gatelink.exceptions import LinkError
from gatelink.frames import encode_frame
from gatelink.link.contact import ask_hello, connect_pinned, first_contact
from gatelink.messages import encode
from gatelink.tls_io import drive
from gatelink.wire import ALPN_CONTROL, ALPN_ENROL, ALPN_RELAY
from inproc.gm_running import Appliance, Party, User, connected_plant, until
from vectors.samples import SAMPLES

STRANGERS = 40
PEERS = 15


def _nonsense(seed: int, rounds: int) -> Iterator[bytes]:
    """Golden messages with bytes changed, cut and doubled; MessagePack that is none of ours; noise."""
    chance = random.Random(seed)
    samples = [encode(sample) for sample in SAMPLES.values()]
    for _ in range(rounds):
        payload = bytearray(chance.choice(samples))
        for _ in range(chance.randrange(4)):
            payload[chance.randrange(len(payload))] = chance.randrange(256)
        kind = chance.randrange(6)
        if kind == 0:
            yield chance.randbytes(chance.randrange(1, 200))
        elif kind == 1:
            yield encode_frame(bytes(payload))[: chance.randrange(1, len(payload) + 4)]
        elif kind == 2:
            yield encode_frame(b"\x91" * chance.randrange(1, 5000))
        elif kind == 3:
            yield encode_frame(chance.randbytes(chance.randrange(1, 2000)))
        else:
            yield encode_frame(bytes(payload)) * chance.randrange(1, 3)


async def _say_and_leave(tls: ssl.SSLSocket, data: bytes) -> None:
    """Send, read a little of what comes, close."""
    with contextlib.suppress(LinkError, OSError, TimeoutError):
        await drive(tls, lambda: tls.send(data))
        async with asyncio.timeout(0.02):
            await drive(tls, lambda: tls.recv(100))
    tls.close()


@pytest.mark.parametrize("protocol", [ALPN_ENROL, ALPN_CONTROL, ALPN_RELAY])
@pytest.mark.parametrize("seed", [1])
def test_others_are_served_whatever_strangers_send(tmp_path: Path, protocol: str, seed: int) -> None:
    async def scenario() -> None:
        async with connected_plant(tmp_path / "gm") as (gm, appliance, user):
            for number, data in enumerate(_nonsense(seed, STRANGERS)):
                if protocol == ALPN_ENROL:
                    tls, _ = await first_contact(gm.endpoint, protocol)
                else:
                    identity = (appliance, user)[number % 2].identity
                    tls = (await connect_pinned(gm.endpoint, gm.pin, protocol, identity)).tls
                await _say_and_leave(tls, data)
            hello, _ = await ask_hello(gm.endpoint)
            assert hello is not None
            await until(lambda: gm.server.door.pending == 0)
            assert not len(gm.server.sessions.live)

    asyncio.run(scenario())


@pytest.mark.parametrize("kind", ["appliance", "user"])
@pytest.mark.parametrize("seed", [3, 4])
def test_others_are_served_whatever_a_peer_sends(tmp_path: Path, kind: str, seed: int) -> None:
    async def scenario() -> None:
        async with connected_plant(tmp_path / "gm") as (gm, appliance, user):
            known: Party = appliance if kind == "appliance" else user
            party: Appliance | User | None = None
            for data in _nonsense(seed, PEERS):
                if party is None or party.conversation is None or party.conversation.tls.fileno() == -1:
                    party = (Appliance if kind == "appliance" else User)(gm, known.enrolment)
                    assert isinstance(await party.log_in(), messages.Welcome)
                assert party.conversation is not None
                tls = party.conversation.tls
                try:
                    await drive(tls, lambda tls=tls, data=data: tls.send(data))  # type: ignore[misc]
                    async with asyncio.timeout(0.02):
                        while await drive(tls, lambda tls=tls: tls.recv(65536)):  # type: ignore[misc]
                            pass
                    tls.close()
                except TimeoutError:
                    continue
                except (LinkError, OSError):
                    tls.close()
            assert party is not None
            party.close()
            hello, _ = await ask_hello(gm.endpoint)
            assert hello is not None
            await until(
                lambda: not list(gm.server.peers.appliances() if kind == "appliance" else gm.server.peers.users())
            )
            assert not len(gm.server.sessions.live)

    asyncio.run(scenario())

"""What the agent does on Windows, with what Linux has in the place of pipes and TAP devices.

The agent's door in threads, the portable pump in a whole session, a stream that is watched by looking at it.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import ssl
from pathlib import Path
from typing import cast

import pytest

from gatelink.exceptions import InputError
from gatelink.tunnel.fake import TapFrames
from gatelink.tunnel.near_end import PumpHooks, PumpSettings
from gatelink.tunnel.portable_pump import PortablePump
from inproc.lm_office import office_and_gm
from lm_client.agent.door import ThreadDoor
from lm_client.asking import expect, receive
from lm_client.core.local import (
    Answer,
    ConnectedTo,
    ConnectTo,
    Disconnected,
    DisconnectFrom,
    Done,
    GetStatus,
    Logout,
    Request,
    frame,
)
from lm_client.host.fake import FakeTap
from lm_client.streams import Stream, connect, listen
from lm_client.streams.watch import Watch

_FRAME = b"\xff" * 12 + b"\x08\x00" + b"hello" * 20
_DEADLINE_S = 60.0


class Handler:
    """Answers Logout; holds on to GetStatus until it is called off."""

    def __init__(self) -> None:
        self.holding = asyncio.Event()
        self.called_off = asyncio.Event()

    async def __call__(self, request: Request) -> Answer:
        if isinstance(request, Logout):
            return Done()
        if isinstance(request, GetStatus):
            self.holding.set()
            try:
                await asyncio.sleep(_DEADLINE_S)
            except asyncio.CancelledError:
                self.called_off.set()
                raise
        raise InputError("that is not known here")


def _ask(path: Path, data: bytes) -> Answer:
    with contextlib.closing(connect(path, _DEADLINE_S)) as stream:
        stream.sendall(data)
        return receive(stream)


def test_door_in_threads_answers_its_user_and_calls_off_what_nobody_waits_for(tmp_path: Path) -> None:
    asyncio.run(_ask_and_give_up(tmp_path))


async def _ask_and_give_up(tmp_path: Path) -> None:
    path, handler = tmp_path / "agent.sock", Handler()
    door = ThreadDoor(path, handler, lambda caller: caller == os.geteuid())
    await door.open()
    try:
        assert expect(await asyncio.to_thread(_ask, path, frame(Logout())), Done) == Done()
        with pytest.raises(InputError, match="not known here"):
            expect(await asyncio.to_thread(_ask, path, frame(DisconnectFrom(target="press"))), Done)
        with contextlib.closing(await asyncio.to_thread(connect, path, _DEADLINE_S)) as stream:
            stream.sendall(frame(GetStatus()))
            async with asyncio.timeout(_DEADLINE_S):
                await handler.holding.wait()
        async with asyncio.timeout(_DEADLINE_S):
            await handler.called_off.wait()
        with contextlib.closing(await asyncio.to_thread(connect, path, _DEADLINE_S)) as stream:
            stream.sendall(b"\xff\xff\xff\xff")
            assert await asyncio.to_thread(stream.recv, 1) == b""
    finally:
        await door.close()
    assert not path.exists()


def test_door_in_threads_says_nothing_to_others(tmp_path: Path) -> None:
    asyncio.run(_ask_in_vain(tmp_path))


async def _ask_in_vain(tmp_path: Path) -> None:
    path = tmp_path / "agent.sock"
    door = ThreadDoor(path, Handler(), lambda _caller: False)
    await door.open()
    try:
        stream = await asyncio.to_thread(connect, path, _DEADLINE_S)
        with contextlib.closing(stream), contextlib.suppress(OSError):
            stream.sendall(frame(Logout()))
            assert await asyncio.to_thread(stream.recv, 1) == b""
    finally:
        await door.close()


class PipeLike:
    """A stream without a descriptor, as a pipe is."""

    def __init__(self, stream: Stream) -> None:
        self.is_alive = stream.is_alive


@pytest.mark.parametrize("has_descriptor", [True, False])
def test_watch_notices_that_the_other_end_is_gone(
    has_descriptor: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def run() -> None:
        endpoint = listen(tmp_path / "sock", for_everybody=False)
        near = connect(tmp_path / "sock", _DEADLINE_S)
        far = await asyncio.to_thread(endpoint.accept)
        lost = asyncio.Event()
        watch = Watch(near if has_descriptor else cast("Stream", PipeLike(near)))
        watch.start(lost.set)
        watch.stop()
        watch.start(lost.set)
        far.close()
        async with asyncio.timeout(_DEADLINE_S):
            await lost.wait()
        watch.stop()
        near.close()
        endpoint.close()

    monkeypatch.setattr("lm_client.streams.watch.LOOK_S", 0.02)
    asyncio.run(run())


def test_session_runs_with_the_portable_pump_and_resumes_when_its_line_broke(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[TapFrames] = []
    by_tap: dict[int, TapFrames] = {}

    def portable(tap: FakeTap, tls: ssl.SSLSocket, settings: PumpSettings, hooks: PumpHooks) -> PortablePump:
        if id(tap) not in by_tap:
            made.append(by_tap.setdefault(id(tap), TapFrames(tap)))
        return PortablePump(by_tap[id(tap)], tls, settings, hooks)

    async def run() -> None:
        async with office_and_gm(tmp_path) as (office, gm), office.logged_in():
            answer = await office.ask(ConnectTo(target="press"), ConnectedTo)
            assert answer.session.interface == "gl0"
            for number in (1, 2):
                await office.until(lambda number=number: office.log.count("up on gl0") == number, "the tunnel")  # type: ignore[misc]
                far = await gm.far_end(number)
                wire = office.network.adapters["gl0"].wire
                loop = asyncio.get_running_loop()
                wire.send(_FRAME)
                assert await far.frame() == _FRAME
                far.wire.send(_FRAME[::-1])
                async with asyncio.timeout(_DEADLINE_S):
                    assert await loop.sock_recv(wire, 65536) == _FRAME[::-1]
                far.cut()
            await office.ask(DisconnectFrom(target="press"), Disconnected)
            assert not office.network.adapters

    monkeypatch.setattr("lm_client.agent.carrier.pump_for", portable)
    asyncio.run(run())
    assert made
    for frames in made:
        frames.close()

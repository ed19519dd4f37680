"""Program: a logged-in LM without a network of its own that opens and closes sessions, several at a time.

    python -P -m bench.soak.caller GM_ADDRESS APPLIANCE_ID LM_HOME PASSWORD COUNT AT_ONCE

Says "done N in S s, F failed" at the end. A session is whole: the request, a leg, end-to-end TLS, both Hellos of the
tunnel, the end at the user's word.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import ssl
import sys
import time
from pathlib import Path

import msgspec

from gatelink.channel import Channel
from gatelink.exceptions import LinkError
from gatelink.identity import Identity, from_pkcs12
from gatelink.link.contact import connect_pinned
from gatelink.link.endpoints import Endpoint
from gatelink.link.leg import end_to_end, open_leg
from gatelink.messages import GM_TO_USER, Connect, Connected, Disconnect, GmToUser, Refusal, UserLogin, Welcome
from gatelink.pins import Pin
from gatelink.tls import tunnel_client_context
from gatelink.tls_io import Conversation
from gatelink.tunnel.framing import Hello, encode_control
from gatelink.wire import ALPN_CONTROL, MAX_FRAME_BYTES

_KEEPALIVE_S = 25.0
_PATIENCE_S = 120.0


class Caller:
    """One user's control connection, and his sessions."""

    def __init__(self, endpoint: Endpoint, pin: Pin, identity: Identity, appliance_id: str) -> None:
        self._endpoint = endpoint
        self._pin = pin
        self._identity = identity
        self._appliance_id = appliance_id
        self._numbers = itertools.count(1)
        self._asked: dict[int, asyncio.Future[GmToUser]] = {}
        self._channel: Channel[GmToUser] | None = None

    async def log_in(self, password: str) -> None:
        """Become known to the GateManager."""
        contact = await connect_pinned(self._endpoint, self._pin, ALPN_CONTROL, self._identity)
        conversation = Conversation(contact.tls, MAX_FRAME_BYTES)
        await conversation.send(UserLogin(software="soak", route=self._endpoint.route, password=password))
        while not isinstance(await conversation.receive(GM_TO_USER), Welcome):
            pass
        self._channel = Channel(contact.tls, GM_TO_USER, _KEEPALIVE_S, self._received, self._closed)

    async def come_and_go(self) -> None:
        """One session, from the request to its end."""
        number = next(self._numbers)
        session = await self._ask(number, Connect(request_id=number, appliance_id=self._appliance_id))
        if not isinstance(session, Connected):
            raise LinkError(f"no session: {session}")
        leg = await open_leg(self._endpoint, self._pin, self._identity, session.ticket)
        context = tunnel_client_context(self._identity, session.peer_certificate)
        tls = await end_to_end(leg, context, server_side=False)
        try:
            await asyncio.to_thread(_greet, tls)
            number = next(self._numbers)
            await self._ask(number, Disconnect(request_id=number, session_id=session.session_id))
        finally:
            tls.close()

    async def _ask(self, number: int, request: Connect | Disconnect) -> GmToUser:
        assert self._channel is not None
        answer = self._asked[number] = asyncio.get_running_loop().create_future()
        self._channel.send(request)
        try:
            async with asyncio.timeout(_PATIENCE_S):
                await answer
        except TimeoutError:
            raise LinkError(f"the GateManager did not answer {type(request).__name__}") from None
        else:
            found: GmToUser = answer.result()
            return found
        finally:
            del self._asked[number]

    def _received(self, message: GmToUser) -> None:
        answer = self._asked.get(getattr(message, "request_id", None) or 0)
        if answer is not None and not answer.done():
            answer.set_result(message)
        elif isinstance(message, Refusal):
            sys.stderr.write(f"refused: {message.text}\n")

    def _closed(self, reason: str) -> None:
        sys.exit(f"the control connection ended: {reason}")


def _greet(tls: ssl.SSLSocket) -> None:
    """Say Hello, and wait until the SiteManager's came: its pump runs."""
    tls.settimeout(_PATIENCE_S)
    tls.send(encode_control(Hello()))
    tls.recv(65_536)


async def main(arguments: list[str]) -> None:
    """Do as standard input says."""
    address, appliance_id, lm_home, password, count, at_once = arguments
    profile = json.loads((Path(lm_home) / "profile.json").read_bytes())
    pin = Pin(msgspec.convert(profile["pin_certificate"], bytes), "fingerprint")
    identity = from_pkcs12((Path(lm_home) / "identity.p12").read_bytes(), password)
    caller = Caller(Endpoint(address, 443), pin, identity, appliance_id)
    await caller.log_in(password)
    left, failed, began = int(count), 0, time.monotonic()

    async def worker() -> None:
        nonlocal left, failed
        while left > 0:
            left -= 1
            try:
                await caller.come_and_go()
            except (LinkError, OSError, TimeoutError) as error:
                failed += 1
                _say(f"failed: {error!r}")

    await asyncio.gather(*(worker() for _ in range(int(at_once))))
    _say(f"done {count} in {time.monotonic() - began:.1f} s, {failed} failed")


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1:]))

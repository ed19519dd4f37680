"""relay: admits the legs of sessions by ticket, ends TLS on both and hands the plain connections to the relay."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
from collections.abc import Callable
from typing import Final, Protocol

from gatelink.exceptions import GatelinkError
from gatelink.frames import encode_frame
from gatelink.identity import certificate_sha256
from gatelink.messages import RELAY_TO_GM, Refusal, RelayJoined, encode
from gatelink.tls_io import Conversation
from gatelink.wire import HANDSHAKE_TIMEOUT_S, LOGIN_TIMEOUT_S
from gm_server.access.tickets import Side
from gm_server.frontdoor.visitor import Visitor
from gm_server.relay.pool import RelayError

from .farewell import refuse
from .sessions import Sessions

_LIMIT_BYTES: Final = 1024
_log = logging.getLogger("gm.legs")


class Joiner(Protocol):
    """What is needed of the relay here."""

    async def join(self, session_id: str, sock_a: socket.socket, sock_b: socket.socket, /) -> None:
        """Carry bytes between the two from now on; owns both."""


class Legs:
    """Legs that wait for their other one."""

    def __init__(self, sessions: Sessions, relay: Joiner, clock: Callable[[], float]) -> None:
        self._sessions = sessions
        self._relay = relay
        self._clock = clock
        self._waiting: dict[str, tuple[Side, Conversation]] = {}
        sessions.on_end = self._drop

    async def __call__(self, visitor: Visitor) -> None:
        """Admit a leg; the second one of a session joins both."""
        conversation = Conversation(visitor.tls, _LIMIT_BYTES)
        kept = False
        try:
            async with asyncio.timeout(LOGIN_TIMEOUT_S):
                try:
                    hello = await conversation.receive(RELAY_TO_GM)
                    digest = certificate_sha256(visitor.certificate)
                    ticket = self._sessions.tickets.take(hello.ticket, digest, self._clock())
                except GatelinkError as error:
                    await refuse(conversation, error)
                    raise
            visitor.admitted()
            first = self._waiting.pop(ticket.session_id, None)
            if first is None:
                self._wait(ticket.session_id, ticket.side, conversation)
                kept = True
                return
            self._unwatch(first[1])
            mine = (ticket.side, conversation)
            await self._join(ticket.session_id, dict((first, mine)))
        finally:
            if not kept:
                visitor.tls.close()

    def _wait(self, session_id: str, side: Side, conversation: Conversation) -> None:
        """Nothing may come before the joining: what does is the end of the connection, or breaks the protocol."""
        self._waiting[session_id] = (side, conversation)
        end = self._sessions.end
        loop = asyncio.get_running_loop()
        loop.add_reader(
            conversation.tls.fileno(),
            end,
            session_id,
            "leg-lost",
            f"the {side}'s connection broke before it was joined",
        )

    async def _join(self, session_id: str, legs: dict[Side, Conversation]) -> None:
        user, appliance = legs["user"], legs["appliance"]
        plain: dict[Side, socket.socket] = {}

        async def end_tls(side: Side) -> None:
            await legs[side].send(RelayJoined())
            plain[side] = await legs[side].end_tls()

        try:
            async with asyncio.timeout(HANDSHAKE_TIMEOUT_S):
                await asyncio.gather(end_tls("user"), end_tls("appliance"))
            await self._relay.join(session_id, plain["user"], plain["appliance"])
            self._sessions.joined(session_id)
        except (GatelinkError, RelayError, OSError) as error:
            # A TimeoutError is an OSError.
            text = str(error) or "one side did not end TLS in time"
            self._sessions.end(session_id, "join-failed", f"the two sides could not be joined: {text}"[:512])
            _log.warning("%s could not be joined: %s", session_id, text)
        finally:
            for leg in plain.values():
                leg.close()
            user.tls.close()
            appliance.tls.close()

    def _drop(self, session_id: str, code: str, reason: str) -> None:
        """The session ended: its waiting leg goes, and is told why (this may come before the control connection's)."""
        waiting = self._waiting.pop(session_id, None)
        if waiting is not None:
            tls = waiting[1].tls
            self._unwatch(waiting[1])
            with contextlib.suppress(OSError):
                # Nothing was sent on this leg yet: so little fits into its buffer.
                tls.send(encode_frame(encode(Refusal(code=code, text=reason[:512]))))
            tls.close()

    @staticmethod
    def _unwatch(conversation: Conversation) -> None:
        asyncio.get_running_loop().remove_reader(conversation.tls.fileno())

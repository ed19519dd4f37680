"""What happens to a connection from accept until it is served: peek, choose, handshake; all of it bounded."""

from __future__ import annotations

import asyncio
import logging
import socket
import ssl
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Final, Literal

import msgspec

from gatelink.exceptions import GatelinkError, HelloError, LinkError
from gatelink.hello import ClientHello
from gatelink.identity import Identity
from gatelink.tls_io import handshake
from gatelink.wire import (
    ALPN_APPLIANCE_PREFIX,
    ALPN_WITH_CERTIFICATE,
    ALPN_WITHOUT_CERTIFICATE,
    HANDSHAKE_TIMEOUT_S,
)
from gm_server.certificates.challenges import ALPN as ACME_ALPN
from gm_server.certificates.challenges import Challenges
from gm_server.config import Limits

from .listeners import Acceptor
from .peek import first_bytes
from .places import Place, Places
from .redirect import MAX_REQUEST_BYTES, answer
from .strangers import Strangers
from .turns import Turns
from .visitor import Host, Visitor

_NO_APPLICATION_PROTOCOL: Final = bytes((21, 3, 3, 0, 2, 2, 120))
"""TLS alert 120, fatal (RFC 7301 section 3.2): the peer speaks a version of ours that we do not."""
_USER_TIMEOUT_MS: Final = 60_000
_log = logging.getLogger("gm.frontdoor")


class Contexts(msgspec.Struct, frozen=True):
    """The TLS side of the front door; replaced as a whole when certificates change."""

    identity: Identity
    without_certificate: ssl.SSLContext
    with_certificate: ssl.SSLContext
    web: ssl.SSLContext


Browsers = Callable[[socket.socket, str, ssl.SSLContext], Awaitable[None]]


class Door:
    """Serves strangers until they are somebody's."""

    def __init__(
        self,
        contexts: Contexts,
        hosts: Mapping[str, Host],
        browsers: Browsers,
        addresses: Sequence[str],
        limits: Limits,
        strangers: Strangers,
    ) -> None:
        self.contexts = contexts
        self.challenges = Challenges()
        self._hosts = hosts
        self._browsers = browsers
        self._addresses = addresses
        self._strangers = strangers
        self._places = Places(limits.pending_connections, limits.pending_per_address)
        self._turns = Turns(limits.handshakes)
        self._tasks: dict[asyncio.Task[None], tuple[Place, socket.socket]] = {}
        self._by_place: dict[Place, asyncio.Task[None]] = {}
        self._acceptor: Acceptor | None = None

    @property
    def pending(self) -> int:
        """Connections that have not logged in."""
        return len(self._places)

    def open(self, listeners: Sequence[socket.socket]) -> None:
        """Begin to accept; the listeners are ours now."""
        places = self._places
        self._acceptor = Acceptor(
            listeners, self._on_connection, places.opens_at, lambda: places.is_full, self._on_shortage
        )

    async def close(self) -> None:
        """Stop accepting, and drop everybody who is not logged in."""
        if self._acceptor is not None:
            self._acceptor.close()
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _on_connection(self, connection: socket.socket, address: str) -> None:
        loop = asyncio.get_running_loop()
        place, victim = self._places.admit(address, loop.time())
        if victim is not None:
            self._drop(victim, address)
        if place is None:
            connection.close()
            self._strangers.note("too-many", address, "turned away: its address has too many connections open")
            return
        task = loop.create_task(self._serve(connection, address, place))
        self._tasks[task] = (place, connection)
        self._by_place[place] = task
        task.add_done_callback(self._on_done)

    def _on_done(self, task: asyncio.Task[None]) -> None:
        place, connection = self._tasks.pop(task)
        self._release(place)
        # Whoever took the connection over has detached this object from it.
        connection.close()
        if not task.cancelled() and task.exception() is not None:
            _log.error("a connection failed unexpectedly", exc_info=task.exception())

    def _release(self, place: Place) -> None:
        self._by_place.pop(place, None)
        self._places.release(place)
        if self._acceptor is not None:
            self._acceptor.room()

    def _drop(self, victim: Place, newcomer: str) -> None:
        task = self._by_place.pop(victim, None)
        if task is not None:
            task.cancel()
            self._strangers.note("dropped", victim.group, f"waited longest when {newcomer} came")

    def _on_shortage(self, what: str) -> None:
        """No descriptors are left: the stranger that waits longest gives its one."""
        self._strangers.note("shortage", "somebody", f"cannot be accepted: {what}")
        if self._by_place:
            self._drop(next(iter(self._by_place)), "there was nothing left for somebody who")

    async def _serve(self, connection: socket.socket, address: str, place: Place) -> None:
        try:
            _prepare(connection)
            async with asyncio.timeout(HANDSHAKE_TIMEOUT_S):
                served = await self._receive(connection, address, place)
            if served is not None:
                host, visitor = served
                await host(visitor)
        except TimeoutError:
            self._strangers.note("timeout", address, "took too long")
        except (GatelinkError, OSError) as error:
            self._strangers.note(_kind(error), address, _text(error))

    async def _receive(self, connection: socket.socket, address: str, place: Place) -> tuple[Host, Visitor] | None:
        """Look, choose, and do the handshake; None if nothing is left to do."""
        first = await first_bytes(connection)
        if first == "http":
            await self._redirect(connection)
            return None
        if ACME_ALPN in first.protocols:
            await self._show_challenge(connection, first.server_name)
            return None
        side = choose(first)
        contexts = self.contexts
        if side == "web":
            async with self._turns.turn():
                await self._browsers(connection, address, contexts.web)
            return None
        if side == "unknown":
            connection.send(_NO_APPLICATION_PROTOCOL)
            raise HelloError("it asks for a protocol of Gatelink that is not known here")
        mutual = side == "with-certificate"
        context = contexts.with_certificate if mutual else contexts.without_certificate
        async with self._turns.turn():
            tls = await handshake(connection, context, server_side=True)
        protocol = tls.selected_alpn_protocol()
        allowed = ALPN_WITH_CERTIFICATE if mutual else ALPN_WITHOUT_CERTIFICATE
        if protocol not in allowed or protocol not in self._hosts:
            tls.close()
            raise HelloError("TLS agreed on another protocol than the first bytes promised")
        return self._hosts[protocol], Visitor(tls, address, contexts.identity, lambda: self._release(place))

    async def _show_challenge(self, connection: socket.socket, server_name: str | None) -> None:
        """Answer an ACME authority's tls-alpn-01: the handshake is all that it wants."""
        context = self.challenges.context(server_name)
        if context is None:
            connection.send(_NO_APPLICATION_PROTOCOL)
            raise HelloError("it asks for a challenge that is not open")
        async with self._turns.turn():
            (await handshake(connection, context, server_side=True)).close()

    async def _redirect(self, connection: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        request = b""
        response = None
        while response is None:
            data = await loop.sock_recv(connection, MAX_REQUEST_BYTES - len(request))
            if not data:
                raise LinkError("closed in the middle of an HTTP request")
            request += data
            response = answer(request, self._addresses, (connection.getsockname()[0],), self.challenges.answer)
        await loop.sock_sendall(connection, response)
        connection.shutdown(socket.SHUT_WR)


def choose(hello: ClientHello) -> Literal["web", "with-certificate", "without-certificate", "unknown"]:
    """Say which side serves a ClientHello: the first protocol of ours that it names decides."""
    ours = [protocol for protocol in hello.protocols if protocol.startswith(ALPN_APPLIANCE_PREFIX)]
    if not ours:
        return "web"
    for protocol in ours:
        if protocol in ALPN_WITH_CERTIFICATE:
            return "with-certificate"
        if protocol in ALPN_WITHOUT_CERTIFICATE:
            return "without-certificate"
    return "unknown"


def _prepare(connection: socket.socket) -> None:
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, _USER_TIMEOUT_MS)


def _kind(error: Exception) -> str:
    if isinstance(error, ssl.SSLError):
        return "tls"
    return "protocol" if isinstance(error, GatelinkError) else "network"


def _text(error: Exception) -> str:
    if isinstance(error, ssl.SSLError):
        return error.reason or str(error)
    return str(error)

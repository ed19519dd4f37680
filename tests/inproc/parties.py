"""A GateManager's end of the wire for tests of the dialling half: real TLS on loopback, scripted word by word."""

from __future__ import annotations

import asyncio
import contextlib
import datetime
import socket
import ssl
from collections.abc import Awaitable, Callable

from gatelink import identity, tls
from gatelink.exceptions import GatelinkError, LinkError
from gatelink.hello import parse_client_hello
from gatelink.link.endpoints import Endpoint
from gatelink.messages import GmHello, SuccessionStatement
from gatelink.pins import Pin
from gatelink.tls_io import handshake, send
from gatelink.wire import ALPN_CONTROL, ALPN_ENROL, ALPN_HELLO, ALPN_RELAY

NOW = datetime.datetime(2026, 11, 1, tzinfo=datetime.UTC)
AUTHORITY = identity.self_signed("device ca", NOW, 3650, ca=True)

Script = Callable[[ssl.SSLSocket], Awaitable[None]]


def gm_identity() -> identity.Identity:
    """Make an appliance certificate of a GM."""
    return identity.self_signed("gm", NOW, 30 * 365)


def party_identity(name: str = "sm-1") -> identity.Identity:
    """Make a certificate that the scripted GM's authority signed."""
    key = identity.new_key()
    return identity.Identity(identity.issue(identity.make_request(key), AUTHORITY, name, NOW, 3650), key)


class ScriptedGm:
    """Listens on loopback; every accepted connection of a protocol runs its script, hello answers by itself."""

    def __init__(self, certificate: identity.Identity | None = None) -> None:
        self.identity = certificate or gm_identity()
        self.statements: tuple[SuccessionStatement, ...] = ()
        self.scripts: dict[str, Script] = {ALPN_HELLO: self._hello}
        self.accepted: list[str] = []
        """The protocol of each connection whose handshake was done."""
        self.refused = 0
        """Handshakes that failed: the client did not like our certificate, or we not its."""
        self._listener: socket.socket | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._port = 0
        self._errors: list[BaseException] = []
        """What scripts raised, a lost connection apart: raised again by ``stop``."""

    @property
    def endpoint(self) -> Endpoint:
        """Where it listens (also while it is stopped)."""
        return Endpoint("127.0.0.1", self._port)

    @property
    def pin(self) -> Pin:
        """The pin of its present certificate."""
        return Pin(self.identity.certificate, "proof")

    def start(self) -> None:
        """Listen; on the same port again after ``stop``."""
        self._listener = socket.create_server(("127.0.0.1", self._port))
        self._listener.setblocking(False)
        self._port = self._listener.getsockname()[1]
        self._spawn(self._accept(self._listener))

    async def stop(self) -> None:
        """Stop listening and drop every connection."""
        if self._listener is not None:
            self._listener.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._errors:
            raise self._errors.pop()

    async def __aenter__(self) -> ScriptedGm:
        self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    def _spawn(self, work: Awaitable[None]) -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._task_done)

    def _task_done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        error = None if task.cancelled() else task.exception()
        if error is not None and not isinstance(error, LinkError):
            self._errors.append(error)

    async def _accept(self, listener: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        while True:
            connection, _ = await loop.sock_accept(listener)
            self._spawn(self._serve(connection))

    async def _serve(self, connection: socket.socket) -> None:
        with contextlib.closing(connection):
            protocol = await self._peek(connection)
            if protocol in {ALPN_HELLO, ALPN_ENROL}:
                context = tls.gm_open_context(self.identity, [protocol])
            else:
                context = tls.gm_mutual_context(self.identity, [AUTHORITY.certificate], [ALPN_CONTROL, ALPN_RELAY])
            try:
                secured = await handshake(connection, context, server_side=True)
            except (ssl.SSLError, GatelinkError):
                self.refused += 1
                return
        self.accepted.append(protocol)
        with contextlib.closing(secured):
            await self.scripts[protocol](secured)

    async def _peek(self, connection: socket.socket) -> str:
        connection.setblocking(False)
        loop = asyncio.get_running_loop()
        readable: asyncio.Future[None] = loop.create_future()
        loop.add_reader(connection, readable.set_result, None)
        try:
            await readable
        finally:
            loop.remove_reader(connection)
        data = connection.recv(16384, socket.MSG_PEEK)
        if not data:
            raise LinkError("the client went away before it said anything")
        hello = parse_client_hello(data)
        assert hello is not None
        return hello.protocols[0]

    async def _hello(self, secured: ssl.SSLSocket) -> None:
        await send(secured, GmHello(name="scripted", unix_time_s=1.0, statements=self.statements))

"""``sm page``: sockets on the machine-side ports alone, then no rights any more, then HTTP and HTTPS on them.

Each socket is bound to an interface (SO_BINDTODEVICE), not to an address: nobody reaches the page from the uplink,
whatever address he sends to, and a changed address needs no new socket. When the daemon names other interfaces the
process ends, to be started again by its supervisor: it has no right to open a port below 1024 any more.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import pwd
import signal
import socket
import ssl
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from sitemanager.core.local import PageVisit
from sitemanager.core.local_requests import AboutAnswer, AboutRequest, PageCertificateAnswer, PageCertificateRequest
from sitemanager.exceptions import DaemonError

from .app import application
from .crowd import Crowd, Listener
from .daemon import DaemonAway, DaemonLink

HTTP_PORT: Final = 80
HTTPS_PORT: Final = 443
LOOK_S: Final = 5.0
"""Between two looks which interfaces there are."""
PATIENCE_S: Final = 20.0
"""For a connection that asks nothing."""


class PageServer:
    """One run. ``interfaces`` empty: those that the daemon calls the machine side."""

    def __init__(self, runtime: Path, interfaces: Sequence[str], user: str, report: Callable[[str], None]) -> None:
        self._link = DaemonLink(runtime)
        self._wanted = tuple(interfaces)
        self._user = user
        self._report = report
        self._stop = asyncio.Event()
        self._crowd = Crowd()

    async def run(self) -> None:
        """Serve until SIGTERM, or until other interfaces are the machine side. Raises DaemonError."""
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, self._stop.set)
        interfaces = await self._interfaces()
        if self._stop.is_set():
            return
        plain = [_listener(name, HTTP_PORT, self._crowd) for name in interfaces]
        secure = [_listener(name, HTTPS_PORT, self._crowd) for name in interfaces]
        give_up_rights(self._user)
        servers = [
            _Server(self._link, self._crowd, None, plain),
            _Server(self._link, self._crowd, await self._certificate(), secure),
        ]
        serving = [asyncio.create_task(server.serve(server.listeners)) for server in servers]
        self._report(f"the set-up page is on {', '.join(interfaces)}: ports {HTTP_PORT} and {HTTPS_PORT}")
        try:
            await self._until_changed(interfaces)
        finally:
            for server in servers:
                server.should_exit = True
            await asyncio.wait(serving, timeout=5.0)
            for listener in (*plain, *secure):
                listener.close()

    async def _interfaces(self) -> tuple[str, ...]:
        """Wait until there are interfaces to serve on."""
        said = False
        while not self._stop.is_set():
            found = tuple(name for name in await self._named() if name in _present())
            if found:
                return found
            if not said:
                self._report("waiting for a machine-side port: sm init --dev-interface eth1 names it")
                said = True
            await self._sleep()
        return ()

    async def _named(self) -> tuple[str, ...]:
        if self._wanted:
            return self._wanted
        try:
            return (await self._link.ask(PageVisit(), AboutRequest(), AboutAnswer)).dev_interfaces
        except DaemonAway:
            return ()

    async def _certificate(self) -> ssl.SSLContext:
        said = False
        while True:
            try:
                answer = await self._link.ask(PageVisit(), PageCertificateRequest(), PageCertificateAnswer)
            except DaemonAway as error:
                if not said:
                    self._report(f"{error}; it must run, and know this process's user by --page-user")
                    said = True
                await self._sleep()
                if self._stop.is_set():
                    raise DaemonError("stopped before the daemon was there") from None
            else:
                return _context(answer.pem)

    async def _until_changed(self, interfaces: tuple[str, ...]) -> None:
        while not self._stop.is_set():
            await self._sleep()
            named = await self._named()
            if named and tuple(name for name in named if name in _present()) != interfaces:
                self._report("the machine side has changed: this ends, to be started again")
                return

    async def _sleep(self) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(LOOK_S):
                await self._stop.wait()


def give_up_rights(user: str) -> None:
    """As root, become ``user`` for good. Raises DaemonError."""
    if os.geteuid() != 0 or user == "root":
        return
    try:
        entry = pwd.getpwnam(user)
    except KeyError:
        raise DaemonError(
            f"there is no user {user}: make it (systemd-sysusers does), or name another by --user"
        ) from None
    os.setgroups([])
    os.setresgid(entry.pw_gid, entry.pw_gid, entry.pw_gid)
    os.setresuid(entry.pw_uid, entry.pw_uid, entry.pw_uid)
    os.chdir("/")


class _Server(uvicorn.Server):
    """Without signal handlers of its own: there are two of them."""

    def __init__(
        self, link: DaemonLink, crowd: Crowd, context: ssl.SSLContext | None, listeners: list[socket.socket]
    ) -> None:
        protocol = type("_CrowdedProtocol", (_Protocol,), {"crowd": crowd})
        config = uvicorn.Config(
            application(link, crowd),
            http=protocol,
            ws="none",
            loop="asyncio",
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,
            timeout_keep_alive=15,
            timeout_graceful_shutdown=3,
            h11_max_incomplete_event_size=16 * 1024,
        )
        # What goes wrong is one line, written by the application.
        logging.getLogger("uvicorn").addHandler(logging.NullHandler())
        logging.getLogger("uvicorn").propagate = False
        config.load()
        config.ssl = context
        super().__init__(config)
        self.listeners = listeners

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave signals alone."""
        yield


class _Protocol(H11Protocol):
    """Hangs up on whoever connects and asks nothing, and tells the crowd who asked."""

    crowd: Crowd

    def connection_made(self, transport: Any) -> None:
        """Begin to wait."""
        super().connection_made(transport)
        self.loop.call_later(PATIENCE_S, self._patience_is_over)

    def data_received(self, data: bytes) -> None:
        """Read on; a request that is complete counts as asked."""
        super().data_received(data)
        asked: object = self.cycle
        if asked is not None and self.client is not None:
            self.crowd.asked(self.client)

    def _patience_is_over(self) -> None:
        asked: object = self.cycle
        if asked is None and not self.transport.is_closing():
            self.transport.close()


def _listener(interface: str, port: int, crowd: Crowd) -> socket.socket:
    listener = Listener(socket.AF_INET, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
    listener.crowd = crowd
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, interface.encode())
        listener.bind(("0.0.0.0", port))
        listener.setblocking(False)
    except PermissionError:
        listener.close()
        raise DaemonError(f"no right to open port {port}: run sm page as root or with CAP_NET_BIND_SERVICE") from None
    except OSError as error:
        listener.close()
        raise DaemonError(f"cannot open port {port} on {interface}: {error.strerror}") from None
    return listener


def _present() -> set[str]:
    return {name for _, name in socket.if_nameindex()}


def _context(pem: str) -> ssl.SSLContext:
    """The page's own certificate never touches a disk that this process could write to."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    descriptor = os.memfd_create("page-certificate", os.MFD_CLOEXEC)
    try:
        os.write(descriptor, pem.encode("ascii"))
        context.load_cert_chain(f"/proc/self/fd/{descriptor}")
    finally:
        os.close(descriptor)
    return context

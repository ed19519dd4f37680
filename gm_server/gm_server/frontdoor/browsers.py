"""Hands a browser's connection to the web server's protocol in this process, so that it sees the real address.

uvicorn bounds requests, not connections that ask nothing: here every connection has a place, and a time until it asks.
The places are for strangers: fifty people of one office, behind one address, are none as soon as they are known.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
from typing import Final

from starlette.types import ASGIApp
from uvicorn.config import Config
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.server import ServerState

from gatelink.wire import HANDSHAKE_TIMEOUT_S
from gm_server.config import Limits

from .places import Place, Places

IDLE_S: Final = 15.0
"""Without a whole request head."""
REQUEST_S: Final = 60.0
"""For one request with its answer."""
PER_USER: Final = 48
"""Connections of one user who is signed in. A security limit; a browser opens six."""
_MAX_HEAD_BYTES: Final = 16 * 1024


class _Connection(H11Protocol):
    """uvicorn's protocol with an end to its patience."""

    def __init__(self, browsers: Browsers, place: Place) -> None:
        # What requests find as ``request.state.known_as``: told of who is signed in; ``goes_on``: of a long one.
        told = {"known_as": self.known_as, "goes_on": self.goes_on}
        super().__init__(browsers.config, browsers.state, told, browsers.loop)
        self._browsers = browsers
        self._place = place
        self._user_id = ""
        self._deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        tls = transport.get_extra_info("ssl_object")
        # What the browser proved with its TLS handshake, for ``request.state.client_certificate``; mostly nothing.
        self.app_state["client_certificate"] = (tls.getpeercert(binary_form=True) if tls is not None else None) or b""
        self._browsers.made(self._place, self)
        self._set_deadline(IDLE_S)

    def handle_events(self) -> None:
        asked = self.cycle
        super().handle_events()
        if self.cycle is not asked:
            self._set_deadline(REQUEST_S)

    def on_response_complete(self) -> None:
        self._set_deadline(IDLE_S)
        super().on_response_complete()

    def connection_lost(self, exc: Exception | None) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
        super().connection_lost(exc)
        self._browsers.lost(self._place, self._user_id, self)

    def known_as(self, user_id: str) -> None:
        """Count this connection among those of a user who is signed in: it takes no stranger's place any more."""
        if self._user_id != user_id:
            self._browsers.known(self._place, self._user_id, user_id, self)
            self._user_id = user_id

    def goes_on(self) -> None:
        """Give the request that runs another ``REQUEST_S``: for uploads of who is known, which bound their own time."""
        self._set_deadline(REQUEST_S)

    def drop(self) -> None:
        """End the connection now."""
        # asyncio's TLS transport (3.11, 3.12) that was closed twice has nothing left to abort, and says so like this.
        with contextlib.suppress(AttributeError):
            self.transport.abort()

    def _set_deadline(self, delay_s: float) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
        self._deadline = self.loop.call_later(delay_s, self.drop)


class Browsers:
    """The browsers' side of the front door, serving ``app``."""

    def __init__(self, app: ASGIApp, limits: Limits) -> None:
        self.loop = asyncio.get_running_loop()
        self.config = Config(
            app,
            http="h11",
            ws="none",
            lifespan="off",
            log_config=None,
            log_level="critical",
            access_log=False,
            proxy_headers=False,
            server_header=False,
            h11_max_incomplete_event_size=_MAX_HEAD_BYTES,
        )
        self.config.load()
        self.state = ServerState()
        self._places = Places(limits.web_connections, limits.web_per_address)
        self._open: dict[Place, _Connection] = {}
        self._of_users: dict[str, dict[_Connection, None]] = {}

    async def serve(self, connection: socket.socket, address: str, context: ssl.SSLContext) -> None:
        """Do the TLS handshake and hand over; returns when the web server has the connection."""
        place, victim = self._places.admit(address, self.loop.time())
        if victim is not None and victim in self._open:
            self._open[victim].drop()
        if place is None:
            return
        try:
            await self.loop.connect_accepted_socket(
                lambda: _Connection(self, place),
                socket.socket(fileno=connection.detach()),
                ssl=context,
                ssl_handshake_timeout=HANDSHAKE_TIMEOUT_S,
            )
        finally:
            if place not in self._open:
                self._places.release(place)

    def made(self, place: Place, connection: _Connection) -> None:
        """A connection is up."""
        self._open[place] = connection

    def known(self, place: Place, before: str, user_id: str, connection: _Connection) -> None:
        """A connection turned out to be a user's; his oldest ends where he has too many."""
        self._forget(before, connection)
        self._places.release(place)
        own = self._of_users.setdefault(user_id, {})
        own[connection] = None
        if len(own) > PER_USER:
            next(iter(own)).drop()

    def lost(self, place: Place, user_id: str, connection: _Connection) -> None:
        """A connection is gone."""
        self._open.pop(place, None)
        self._places.release(place)
        self._forget(user_id, connection)

    def _forget(self, user_id: str, connection: _Connection) -> None:
        own = self._of_users.get(user_id, {})
        own.pop(connection, None)
        if not own:
            self._of_users.pop(user_id, None)

    async def close(self) -> None:
        """Let running requests end for a moment, then drop every connection."""
        for connection in tuple(self._open.values()):
            connection.shutdown()
        if self.state.tasks:
            await asyncio.wait(self.state.tasks, timeout=1.0)
        for connection in tuple(self._open.values()):
            connection.drop()
        # Aborted transports tell their protocols in the next turns of the loop.
        for _ in range(3):
            await asyncio.sleep(0)

"""Who may speak to the page, before anything of it runs; and the headers of every answer."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from http.cookies import CookieError, SimpleCookie
from typing import Final

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from . import peers
from .keys import Door

ENTRANCE: Final = "/enter"
_MAX_KNOWN_PEERS: Final = 256
_HEADERS: Final[Mapping[str, str]] = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
        "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Permissions-Policy": "camera=(self), geolocation=(), microphone=()",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}
_CLOSED: Final = "This page belongs to somebody else, or its link was used already. Open it with: lm ui\n"
IsOurs = Callable[[tuple[str, int], int], bool]


def belongs_to_us(peer: tuple[str, int], own_port: int) -> bool:
    """Whether the other end of a connection is a program of the same user (or of root, who can do anything anyway)."""
    return not peers.is_supported() or peers.uid_of_peer(peer, own_port) in (os.geteuid(), 0)


class Guard:
    """Serves ``app`` on ``port`` to who has the cookie. ``is_ours`` is for tests."""

    def __init__(self, app: ASGIApp, port: int, door: Door, is_ours: IsOurs = belongs_to_us) -> None:
        self._app = app
        self._port = port
        self._host = f"127.0.0.1:{port}"
        self._door = door
        self._is_ours = is_ours
        self._known: dict[tuple[str, int], bool] = {}

    @property
    def cookie_name(self) -> str:
        """Cookies do not know ports: two pages on one PC must not share one."""
        return f"gatelink-lm-{self._port}"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        if scope["type"] != "http":
            return  # a WebSocket: uvicorn refuses it

        async def send_hardened(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in _HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        if refusal := self._refusal(scope):
            await PlainTextResponse(refusal, 403)(scope, receive, send_hardened)
        else:
            await self._app(scope, receive, send_hardened)

    def _refusal(self, scope: Scope) -> str:
        headers = Headers(scope=scope)
        if headers.get("host") != self._host:
            return f"expected the host {self._host}\n"
        if not self._is_owner(scope.get("client")):
            return _CLOSED
        if scope["method"] not in ("GET", "HEAD") and headers.get("origin") != f"http://{self._host}":
            return "this was sent by another page\n"
        if headers.get("sec-fetch-site", "none") not in ("none", "same-origin"):
            return "another page asks for this\n"
        if scope["path"] == ENTRANCE:
            return ""
        return "" if self._door.knows(self._cookie(headers)) else _CLOSED

    def _cookie(self, headers: Headers) -> str:
        try:
            found = SimpleCookie(headers.get("cookie", "")).get(self.cookie_name)
        except CookieError:
            return ""
        return found.value if found else ""

    def _is_owner(self, peer: tuple[str, int] | None) -> bool:
        """Ask the kernel once a connection: the pair of ports is one while it is open."""
        if peer is None:
            return False
        if peer not in self._known:
            if len(self._known) >= _MAX_KNOWN_PEERS:
                self._known.clear()
            self._known[peer] = self._is_ours(peer, self._port)
        return self._known[peer]

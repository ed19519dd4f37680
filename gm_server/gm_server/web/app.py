"""The web application: routes, and the headers of every answer. No script, no cookie, nothing from elsewhere."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

import msgspec
from starlette.applications import Starlette
from starlette.datastructures import MutableHeaders
from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from .page import STYLE_HASH, status_page

_HEADERS: Final[Mapping[str, str]] = {
    "Content-Security-Policy": (
        f"default-src 'none'; style-src '{STYLE_HASH}'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "Strict-Transport-Security": "max-age=31536000",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}


class About(msgspec.Struct, frozen=True):
    """What the status page says."""

    name: str
    version: str
    serial: str
    """Of the appliance certificate, to compare."""
    fingerprint: str


def make_app(about: Callable[[], About]) -> ASGIApp:
    """Return the application; ``about`` is asked for every page."""

    async def status(_request: Request) -> Response:
        now = about()
        return HTMLResponse(status_page(now.name, now.version, now.serial, now.fingerprint))

    async def health(_request: Request) -> Response:
        return PlainTextResponse("ok\n")

    routes = [Route("/", status, methods=["GET"]), Route("/healthz", health, methods=["GET"])]
    return _Hardened(Starlette(routes=routes))


class _Hardened:
    """Adds the headers to every answer, errors too."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_hardened(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in _HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        await self._app(scope, receive, send_hardened)

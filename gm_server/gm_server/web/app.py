"""The web application: every route, in the headers that each answer gets."""

from __future__ import annotations

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import BaseRoute, Route
from starlette.types import ASGIApp

from gm_server.exceptions import NotFound

from .assets import PREFIX
from .headers import Hardened
from .pages import routes
from .visits import About, Portal, Visit

__all__ = ["About", "Portal", "make_app"]


def make_app(portal: Portal, *more: BaseRoute) -> ASGIApp:
    """Return the application; ``more`` are routes of others, which are asked first."""

    async def health(_request: Request) -> Response:
        return PlainTextResponse("ok\n")

    async def about(request: Request) -> Response:
        return portal.show_alone(request, "about.html")

    own = [
        Route("/about", about, methods=["GET"]),
        Route("/healthz", health, methods=["GET"]),
        Route(f"{PREFIX}{{name:path}}", portal.assets.serve, methods=["GET"]),
    ]

    async def missing(request: Request, _error: Exception) -> Response:
        entered = await portal.enter(request)
        if entered is None:
            return PlainTextResponse("not found\n", 404)
        return Visit(portal, request, entered).failed(NotFound("there is no such page"))

    return Hardened(Starlette(routes=[*more, *own, *routes(portal)], exception_handlers={404: missing}))

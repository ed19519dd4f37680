"""The application: its routes, and what holds for all of them.

Before anybody is logged in: bounded bodies, a Host that is the address which was dialled (nobody's name can be made to
point here), an origin that is ours, and throttled logins, which the daemon counts. After it, every form holds a token.
"""

from __future__ import annotations

import mimetypes
from collections.abc import Awaitable, Callable
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Final

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gatelink.look import LOOK_CSS
from sitemanager.logs import report

from . import pages
from .crowd import Crowd
from .daemon import DaemonAway, DaemonLink, LoginNeeded, NotDone
from .visit import Visit

STATIC: Final = Path(__file__).parent / "static"
_HEADERS: Final = {
    "content-security-policy": (
        "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; connect-src 'self'; "
        "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(self), microphone=(), geolocation=()",
}
Page = Callable[[Visit], Awaitable[Response]]


def application(link: DaemonLink, crowd: Crowd | None = None) -> ASGIApp:
    """Return the application; ``crowd`` is told who is logged in."""
    routes = [Route(path, _endpoint(page), methods=methods) for path, methods, page in pages.ROUTES]
    files = [Route(f"/static/{path.name}", _file(path)) for path in (LOOK_CSS, *sorted(STATIC.iterdir()))]
    app = Starlette(routes=[*routes, *files], exception_handlers={HTTPException: _http_error, Exception: _fault})
    app.state.link = link
    app.state.crowd = crowd or Crowd()
    return _Guard(app)


class _Guard:
    """Looks at every request first and adds the headers to every answer."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                present = {name.lower() for name, _ in message["headers"]}
                added = {**_HEADERS, "cache-control": "no-store"}
                message["headers"] += [
                    (name.encode(), value.encode()) for name, value in added.items() if name.encode() not in present
                ]
            await send(message)

        app = self._app if _is_for_us(scope) else PlainTextResponse("This is not the address of this page.", 421)
        await app(scope, receive, send_with_headers)


def _is_for_us(scope: Scope) -> bool:
    """Whether the Host is the address at which the connection came in."""
    host = next((value.decode("latin-1") for name, value in scope["headers"] if name == b"host"), "")
    server = scope.get("server")
    return server is not None and host.partition(":")[0] == server[0]


def _endpoint(page: Page) -> Callable[[Request], Awaitable[Response]]:
    async def endpoint(request: Request) -> Response:
        visit = Visit(request)
        try:
            return await page(visit)
        except LoginNeeded:
            if request.headers.get("accept", "").startswith("application/json"):
                return PlainTextResponse("log in first", 401)
            return RedirectResponse("/login", 303)
        except DaemonAway:
            return visit.plain("away.html", status=503)
        except NotDone as error:
            return await visit.page("problem.html", status=409, error=str(error))

    return endpoint


def _file(path: Traversable) -> Callable[[Request], Awaitable[Response]]:
    content = path.read_bytes()
    kind = mimetypes.guess_type(path.name)[0] or "application/octet-stream"

    async def endpoint(request: Request) -> Response:
        del request
        return Response(content, media_type=kind, headers={"cache-control": "max-age=300"})

    return endpoint


async def _http_error(request: Request, error: Exception) -> Response:
    status = error.status_code if isinstance(error, HTTPException) else 500
    texts = {
        403: "This form is out of date or was not made by this page. Open the page again and repeat it.",
        404: "There is no such page.",
        413: "That is too large.",
    }
    text = texts.get(status, "That was not understood.")
    return Visit(request).plain("plain_problem.html", status=status, error=text)


async def _fault(request: Request, error: Exception) -> Response:
    where = error.__traceback__
    while where is not None and where.tb_next is not None:
        where = where.tb_next
    place = f"{Path(where.tb_frame.f_code.co_filename).name}:{where.tb_lineno}" if where else "?"
    report(f"internal error on {request.url.path}: {error!r} at {place}")
    return Visit(request).plain("plain_problem.html", status=500, error="An error of this page; the log says more.")

"""One request of a browser: who it is, what it wants, and how it is answered."""

from __future__ import annotations

import hashlib
import hmac
from pathlib import Path
from typing import Any, Final, TypeVar

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from sitemanager.core.local import LocalAnswer, LocalRequest, PageVisit
from sitemanager.core.local_requests import TrialAnswer, TrialRequest

from .daemon import DaemonLink
from .forms import Form, read_form
from .shown import FILTERS

A = TypeVar("A", bound=LocalAnswer)
NAVIGATION: Final = (
    ("status", "Status"),
    ("uplinks", "Ways out"),
    ("network", "Machine side"),
    ("gatemanager", "GateManager"),
    ("devices", "Devices"),
    ("serial", "Serial ports"),
    ("access", "Remote access lock"),
    ("diagnosis", "Diagnosis"),
    ("log", "Log"),
    ("backup", "Backup"),
    ("firmware", "Firmware"),
    ("restart", "Restart"),
)
_TEMPLATES = Environment(
    loader=FileSystemLoader(Path(__file__).parent / "templates"),
    autoescape=True,
    undefined=StrictUndefined,
    auto_reload=False,
    trim_blocks=True,
    lstrip_blocks=True,
)
_TEMPLATES.filters.update(FILTERS)


class Visit:
    """Made for every request; the pages ask and answer through it."""

    def __init__(self, request: Request) -> None:
        self.request = request
        self._link: DaemonLink = request.app.state.link
        client = request.client.host if request.client else ""
        self.session = request.cookies.get(cookie_name(request), "")[:128]
        self._visit = PageVisit(session=self.session, address=client)
        self.form = Form([])
        self.trial: TrialAnswer | None = None

    async def ask(self, request: LocalRequest, kind: type[A], *, timeout_s: float = 40.0) -> A:
        """Ask the daemon in this browser's name. Raises DaemonAway, LoginNeeded, NotDone."""
        return await self._link.ask(self._visit, request, kind, timeout_s=timeout_s)

    async def read(self, *, logged_in: bool = True) -> Form:
        """Read a form that was sent; refuses one that another site's page made."""
        self.form = await read_form(self.request)
        self.check_origin()
        if logged_in and not hmac.compare_digest(self.form.raw("csrf").encode(), self.csrf.encode()):
            raise HTTPException(403)
        return self.form

    def check_origin(self) -> None:
        """Refuse what another site's page makes a browser send."""
        origin = self.request.headers.get("origin")
        own = f"{self.request.url.scheme}://{self.request.headers.get('host', '')}"
        if origin is not None and origin != own:
            raise HTTPException(403)

    @property
    def csrf(self) -> str:
        """What every form of this session holds; no page of another site can know it."""
        return hashlib.sha256(b"gatelink set-up page form\0" + self.session.encode()).hexdigest()

    async def page(self, name: str, *, status: int = 200, **content: Any) -> Response:
        """Show a page of somebody who is logged in, with a change on trial at its top."""
        self.trial = await self.ask(TrialRequest(), TrialAnswer)
        self.request.app.state.crowd.welcome(self._visit.address)
        return self.plain(name, status=status, navigation=NAVIGATION, trial=self.trial, **content)

    def plain(self, name: str, *, status: int = 200, **content: Any) -> Response:
        """Show a page."""
        values = {
            "navigation": (),
            "trial": None,
            "csrf": self.csrf,
            "here": self.request.url.path.strip("/").split("/")[0],
            "is_https": self.request.url.scheme == "https",
            "host": self.request.headers.get("host", "").partition(":")[0],
            "error": "",
            "done": self.request.query_params.get("done", "")[:40],
            **content,
        }
        return HTMLResponse(_TEMPLATES.get_template(name).render(values), status)

    def go(self, path: str) -> Response:
        """Send the browser on, so that a reload repeats nothing."""
        return RedirectResponse(path, 303)

    def with_session(self, response: Response, session: str) -> Response:
        """Give the browser its session, or take it away."""
        secure = self.request.url.scheme == "https"
        name = cookie_name(self.request)
        if session:
            response.set_cookie(name, session, path="/", secure=secure, httponly=True, samesite="strict")
        else:
            response.delete_cookie(name, path="/", secure=secure, httponly=True, samesite="strict")
        return response


def cookie_name(request: Request) -> str:
    """A session that began on HTTPS never goes over HTTP."""
    return "__Host-sm" if request.url.scheme == "https" else "sm"

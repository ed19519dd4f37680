"""A visit: one request of somebody who is signed in. What it reads and writes, it does as that person.

Every page is made by ``Portal.page``, which lets nobody in who is not signed in and takes no form from elsewhere; every
act runs with the roles that stand in the records in the same transaction.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime
from typing import Any, Concatenate, Final, ParamSpec, TypeVar
from urllib.parse import quote, urlencode
from zoneinfo import ZoneInfo

import msgspec
from sqlalchemy.orm import Session
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from gatelink.exceptions import GatelinkError, InputError
from gatelink.identity import Identity, certificate_sha256
from gm_server.access.actors import Actor, Permission
from gm_server.accounts.web_sessions import SEEN_S, note_seen
from gm_server.acts.overview import Tree
from gm_server.acts.paging import Paging
from gm_server.acts.requests import Sender as Letters
from gm_server.database.store import Store
from gm_server.enrolment.claims import Sender
from gm_server.exceptions import Conflict, DatabaseError, Forbidden, NotFound, Overloaded
from gm_server.service.live import Live

from .assets import Assets
from .forms import Form, check_csrf, convert, csrf_token, read_form
from .rendering import Renderer
from .texts import best_language
from .visitors import Entered, SignedOut, Visitor, as_visitor, enter, secret_of

P = ParamSpec("P")
R = TypeVar("R")
_log = logging.getLogger("gm.web")
SIGN_IN: Final = "/sign-in"


class About(msgspec.Struct, frozen=True):
    """What the portal says of the GateManager itself."""

    name: str
    version: str
    serial: str
    """Of the appliance certificate, to compare."""
    fingerprint: str


class Portal:
    """What pages are made from. ``clock`` is Unix time."""

    def __init__(
        self,
        store: Store,
        live: Live,
        about: Callable[[], About],
        sender: Callable[[], Sender],
        letters: Callable[[], Letters],
        identity: Callable[[], Identity],
        clock: Callable[[], float],
    ) -> None:
        self.store = store
        self.live = live
        self.about = about
        self.sender = sender
        """What claims and invitations say of this GateManager."""
        self.letters = letters
        """What mail to approvers and requesters needs."""
        self.identity = identity
        """The appliance certificate with its key: it signs exports of the audit log."""
        self.clock = clock
        self.whole_tree: tuple[int, Tree] | None = None
        """The overview's tree for who sees everything, and the number of writes when it was read."""
        self.assets = Assets()
        self.renderer = Renderer(self.assets)

    def page(
        self, make: Callable[[Visit], Awaitable[Response]], *, takes_file: bool = False
    ) -> Callable[[Request], Awaitable[Response]]:
        """Return an endpoint that makes a page for who is signed in, and sends everybody else to sign in.

        With ``takes_file`` what is posted is a file as it is, which ``make`` reads; the form's token is in a header.
        """

        async def endpoint(request: Request) -> Response:
            entered = await self.enter(request)
            if entered is None:
                return _to_sign_in(request)
            visit = Visit(self, request, entered)
            try:
                if request.method == "POST":
                    visit.form = Form() if takes_file else await read_form(request)
                    check_csrf(request, visit.form, visit.visitor.secret)
                return await make(visit)
            except SignedOut:
                return _to_sign_in(request)
            except GatelinkError as error:
                return visit.failed(error)
            except Exception:  # noqa: BLE001 - whatever it is: the visitor gets a page, the log the reason
                _log.exception("the page %s failed", request.url.path)
                text = visit.gettext("The GateManager could not do this; its log says why.")
                return visit.show("failed.html", 500, error=text, code=500)

        endpoint.__name__ = make.__name__
        return endpoint

    async def enter(self, request: Request) -> Entered | None:
        """Return who is signed in; his connection is no stranger's from then on."""
        secret = secret_of(request)
        if secret is None:
            return None
        now = self.clock()
        entered = await self.store.read(enter, secret, address_of(request), now)
        if entered is None or not _holds_certificate(request, entered.visitor):
            return None
        if hasattr(request.state, "known_as"):
            request.state.known_as(entered.visitor.actor.user_id)
        if _is_activity(request) and now - entered.visitor.last_seen_at > SEEN_S:
            await self.store.note(note_seen, entered.visitor.session_id, now)
        return entered

    def invitation_link(self, text: str) -> str:
        """Return the link under which a browser redeems an invitation. The secret stands behind ``#``: it is never
        sent to a server, so that no log on the way has it."""
        return f"{self.letters().address}/invitation#{text}"

    def show_alone(self, request: Request, template: str, status: int = 200, **values: Any) -> Response:
        """Return a page for who is not signed in; its template extends ``alone.html``."""
        texts = self.renderer.texts(best_language(request.headers.get("accept-language", "")))
        shared = {"about": self.about(), "path": request.url.path, "now": self.clock(), "form": Form(), "error": ""}
        return HTMLResponse(self.renderer.render(template, texts, shared | values), status)


class Visit:
    """One request of a visitor."""

    def __init__(self, portal: Portal, request: Request, entered: Entered) -> None:
        self.portal = portal
        self.request = request
        self.visitor: Visitor = entered.visitor
        self.rail = entered.rail
        self.now = portal.clock()
        self.drawn_at = portal.live.feed.number
        """What changes after this number, the page asks for anew."""
        self.form = Form()
        self.query = Form(request.query_params.multi_items())
        self.language = self.visitor.language or best_language(request.headers.get("accept-language", ""))

    @property
    def by(self) -> Actor:
        """The visitor as he was when the request came: for what is shown, never for what is done."""
        return self.visitor.actor

    @property
    def csrf(self) -> str:
        """What every form carries."""
        return csrf_token(self.visitor.secret)

    @property
    def live(self) -> Live:
        """The running server."""
        return self.portal.live

    @property
    def is_post(self) -> bool:
        """Whether a form was sent."""
        return self.request.method == "POST"

    def name(self, key: str = "id") -> str:
        """Return a part of the address."""
        return str(self.request.path_params[key])

    def may_change(self, domain: str | None) -> bool:
        """Whether he administers a domain (None: the server): for what is offered."""
        return self.by.may(Permission.CHANGE, domain)

    def gettext(self, text: str, **values: object) -> str:
        """Return a text in the visitor's language."""
        return self.portal.renderer.texts(self.language).gettext(text, **values)

    def paging(self, limit: int = 50) -> Paging:
        """Return which part of a list the address asks for."""
        return convert(
            {"search": self.query.text("search"), "cursor": self.query.text("cursor"), "limit": limit}, Paging
        )

    async def read(self, work: Callable[Concatenate[Session, Actor, P], R], *args: P.args, **kwargs: P.kwargs) -> R:
        """Return what ``work`` finds for the visitor."""

        def run(session: Session) -> R:
            return as_visitor(session, secret, address, self.now, work, *args, **kwargs)

        secret, address = self.visitor.secret, address_of(self.request)
        return await self.portal.store.read(run)

    async def write(self, work: Callable[Concatenate[Session, Actor, P], R], *args: P.args, **kwargs: P.kwargs) -> R:
        """Do an act as the visitor, all or nothing."""

        def run(session: Session) -> R:
            return as_visitor(session, secret, address, self.now, work, *args, **kwargs)

        secret, address = self.visitor.secret, address_of(self.request)
        return await self.portal.store.write(run)

    def show(self, template: str, status_code: int = 200, **values: Any) -> Response:
        """Return a page."""
        texts = self.portal.renderer.texts(self.language)
        shared = {
            "visit": self,
            "by": self.by,
            "about": self.portal.about(),
            "path": self.request.url.path,
            "rail": self.rail,
            "now": self.now,
            "form": self.form,
            "query": self.query,
            "done": self.query.text("done"),
            "error": "",
        }
        html = self.portal.renderer.render(template, texts, shared | values)
        return HTMLResponse(html, status_code)

    def ask(self, what: str, name: str, back: str, **values: Any) -> Response:
        """Return the page that asks before something is destroyed; ``what`` is a key of its template."""
        return self.show("confirm.html", what=what, name=name, back=back, **values)

    def again(self, template: str, error: GatelinkError, **values: Any) -> Response:
        """Return a form once more, with what was typed and what is wrong with it."""
        return self.show(template, status_of(error), **values | {"error": str(error)})

    def to(self, path: str, done: str = "") -> Response:
        """Go on to another page, which says what was done (a key of ``told.DONE``)."""
        separator = "&" if "?" in path else "?"
        return RedirectResponse(path + (separator + urlencode({"done": done}) if done else ""), 303)

    def failed(self, error: GatelinkError) -> Response:
        """Return the page that says what went wrong."""
        code = status_of(error)
        return self.show("failed.html", code, error=str(error), code=code)

    @staticmethod
    def local_text(at: float | None, zone: str) -> str:
        """Return a moment as a browser's field for date and time wants it, by the clock of a zone."""
        return "" if at is None else datetime.fromtimestamp(at, ZoneInfo(zone)).strftime("%Y-%m-%dT%H:%M")

    def link(self, **changes: str | None) -> str:
        """Return this page's address with other parameters; None leaves one out."""
        parameters = {key: self.query.text(key) for key in self.query if key != "done"} | changes
        kept = {key: value for key, value in parameters.items() if value}
        return self.request.url.path + ("?" + urlencode(kept) if kept else "")


def status_of(error: GatelinkError) -> int:
    """Return the HTTP status of an error."""
    kinds: Mapping[type[GatelinkError], int] = {
        NotFound: 404,
        Conflict: 409,
        Forbidden: 403,
        InputError: 422,
        DatabaseError: 503,
        Overloaded: 503,
    }
    return next((status for kind, status in kinds.items() if isinstance(error, kind)), 500)


def address_of(request: Request) -> str:
    """Return the browser's address."""
    return request.client.host if request.client is not None else ""


def _holds_certificate(request: Request, visitor: Visitor) -> bool:
    """Whether the browser still proves the certificate with which it signed in."""
    if visitor.certificate_sha256 is None:
        return True
    certificate = getattr(request.state, "client_certificate", b"")
    return bool(certificate) and certificate_sha256(certificate) == visitor.certificate_sha256


def _is_activity(request: Request) -> bool:
    """Whether a person did this, not a page that keeps itself up to date."""
    return request.method == "POST" or request.headers.get("sec-fetch-mode", "navigate") == "navigate"


def _to_sign_in(request: Request) -> Response:
    if "hx-request" in request.headers:
        # A piece of a page that is on somebody's screen: the whole page is to be asked for again.
        return Response(status_code=401, headers={"HX-Refresh": "true"})
    where = request.url.path + (f"?{request.url.query}" if request.url.query else "")
    wanted = f"?next={quote(where, safe='')}" if request.method == "GET" and where != "/" else ""
    return RedirectResponse(SIGN_IN + wanted, 303)

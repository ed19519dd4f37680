"""Signing in: name, password and certificate, then a second factor. Parses what strangers send.

A login that is under way is known by a cookie of its own, with another secret after each step; the secret of the
browser that is signed in is made at the end, never before. Every form carries a token of the login's secret.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Awaitable, Callable
from typing import Any, Final, Literal
from urllib.parse import quote

from sqlalchemy.orm import Session
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import BaseRoute, Route

from gatelink.exceptions import GatelinkError, InputError, Refused
from gatelink.identity import certificate_sha256
from gm_server.access.actors import Actor
from gm_server.accounts.attempts import Attempt
from gm_server.accounts.login import DEVICE_S, Knock, Logins
from gm_server.accounts.passkeys import login_check, login_options
from gm_server.accounts.people import find_certificate, person_by_id
from gm_server.accounts.web_sessions import SECRET_BYTES, end_session, open_session
from gm_server.acts.people import sign_out
from gm_server.frontdoor.places import group_of

from . import cookies
from .forms import Form, check_csrf, csrf_token, read_form
from .places import own_path
from .visitors import COOKIE
from .visits import SIGN_IN, Portal, Visit, address_of

FACTOR: Final = "/sign-in/code"
_STATUS: Final = {"login": 401, "no-factor": 401, "try-later": 429, "busy": 503}
Make = Callable[[Request, Form, bytes], Awaitable[Response]]


class Entrance:
    """The pages of signing in. ``hosts`` are the names under which this portal may be reached."""

    def __init__(self, portal: Portal, logins: Logins, hosts: tuple[str, ...]) -> None:
        self.portal = portal
        self.logins = logins
        self.hosts = hosts

    def routes(self) -> list[BaseRoute]:
        """Return the routes."""
        return [
            Route(SIGN_IN, self.guarded(self.sign_in), methods=["GET", "POST"]),
            Route(FACTOR, self.guarded(self.factor), methods=["GET", "POST"]),
            Route("/sign-out", self.portal.page(self.sign_out), methods=["POST"]),
        ]

    def guarded(self, make: Make) -> Callable[[Request], Awaitable[Response]]:
        """Return an endpoint for who is not signed in: it reads the form and knows that it came from our page."""

        async def endpoint(request: Request) -> Response:
            secret = cookies.read(request, cookies.LOGIN)
            is_new = len(secret) != SECRET_BYTES
            if is_new:
                secret = secrets.token_bytes(SECRET_BYTES)
            form = Form()
            try:
                if request.method == "POST":
                    form = await read_form(request)
                    check_csrf(request, form, secret)
                response = await make(request, form, secret)
            except GatelinkError as error:
                response = self.alone(request, "refused.html", secret, 400, error=str(error))
            if is_new and not any(cookies.LOGIN in cookie for cookie in response.headers.getlist("set-cookie")):
                cookies.put(response, cookies.LOGIN, secret)
            return response

        endpoint.__name__ = make.__name__
        return endpoint

    def alone(self, request: Request, template: str, secret: bytes, status: int = 200, **values: Any) -> Response:
        """Return a page for who is not signed in, with the token for its form."""
        return self.portal.show_alone(request, template, status, csrf=csrf_token(secret), **values)

    # -- name, password, certificate ----------------------------------------------------------------------------------

    async def sign_in(self, request: Request, form: Form, secret: bytes) -> Response:
        """Ask for name and password; go on to the second factor, or in."""
        wanted = own_path(form.text("next") or request.query_params.get("next", ""))
        known = await self._certificate_owner(request)
        visitor = await self._signed_in(request)
        values: dict[str, Any] = {
            "wanted": wanted,
            "known": known,
            "again": visitor.name if visitor is not None else "",
        }
        if request.method != "POST":
            return self.alone(request, "sign_in.html", secret, **values)
        address = address_of(request)
        knock = Knock(
            form.raw("password")[:256],
            "portal",
            address,
            group_of(address),
            name=(visitor.name if visitor is not None else form.text("name"))[:128],
            certificate_sha256=_presented(request),
            device=cookies.read(request, cookies.KNOWN),
        )
        try:
            attempt = await self.logins.begin(knock)
        except Refused as error:
            return self.alone(
                request, "sign_in.html", secret, _STATUS.get(error.code, 400), **values, error=str(error), form=form
            )
        if attempt.is_done:
            return await self.let_in(request, attempt, wanted)
        fresh = secrets.token_bytes(SECRET_BYTES)
        self.logins.attempts.remove(_key(secret))
        self.logins.attempts.put(_key(fresh), attempt, self.portal.clock())
        response: Response = RedirectResponse(f"{FACTOR}?next={quote(wanted, safe='')}", 303)
        cookies.put(response, cookies.LOGIN, fresh)
        return response

    async def _certificate_owner(self, request: Request) -> str:
        """Return whose certificate the browser holds: it spares him to type his name."""
        digest = _presented(request)
        if digest is None:
            return ""

        def find(session: Session, now: float) -> str:
            known = find_certificate(session, digest, now)
            person = person_by_id(session, known.user_id) if known is not None and known.is_good else None
            return person.name if person is not None else ""

        return await self.portal.store.read(find, self.portal.clock())

    async def _signed_in(self, request: Request) -> Actor | None:
        entered = await self.portal.enter(request)
        return entered.visitor.actor if entered is not None else None

    # -- the second factor --------------------------------------------------------------------------------------------

    async def factor(self, request: Request, form: Form, secret: bytes) -> Response:
        """Ask for the second factor; go in when it is right."""
        attempt = self.logins.attempts.get(_key(secret), self.portal.clock())
        wanted = own_path(form.text("next") or request.query_params.get("next", ""))
        if attempt is None:
            return RedirectResponse(f"{SIGN_IN}?next={quote(wanted, safe='')}", 303)
        if request.method != "POST":
            return await self._show_factor(request, attempt, secret, wanted)
        try:
            if form.flag("resend"):
                await self.logins.send_text(attempt, "portal")
            elif await self._answer(request, form, attempt):
                self.logins.attempts.remove(_key(secret))
                return await self.let_in(request, attempt, wanted)
        except Refused as error:
            self.logins.attempts.remove(_key(secret))
            values = {"wanted": wanted, "known": "", "again": ""}
            return self.alone(request, "sign_in.html", secret, _STATUS.get(error.code, 400), **values, error=str(error))
        status = 200 if form.flag("resend") else 401
        return await self._show_factor(request, attempt, secret, wanted, status)

    async def _answer(self, request: Request, form: Form, attempt: Attempt) -> bool:
        kind = form.text("kind")
        if kind == "passkey":
            host, origin = self.passkey_place(request)
            return await self.logins.answer_passkey(attempt, "portal", login_check(form.raw("answer"), host, origin))
        named: dict[str, Literal["sms", "totp", "recovery"]] = {"sms": "sms", "totp": "totp", "recovery": "recovery"}
        if kind not in named:
            raise InputError("choose how to prove who you are")
        return await self.logins.answer(attempt, named[kind], form.raw("code")[:64], "portal")

    async def _show_factor(
        self, request: Request, attempt: Attempt, secret: bytes, wanted: str, status: int = 200
    ) -> Response:
        now, options = self.portal.clock(), ""
        if "passkey" in attempt.kinds and self.has_passkeys(request):
            attempt.passkey_challenge = secrets.token_bytes(32)
            host = self.passkey_place(request)[0]
            user_id, challenge = attempt.person.user_id, attempt.passkey_challenge
            options = await self.portal.store.read(login_options, user_id, host, challenge)
        return self.alone(
            request,
            "sign_in_code.html",
            secret,
            status,
            wanted=wanted,
            kinds=[kind for kind in attempt.kinds if kind != "passkey" or options],
            text=attempt.text,
            tries_left=attempt.tries_left,
            resend_after_s=int(attempt.resend_after_s(now) + 0.5),
            was_sent=attempt.sends > 0,
            passkey_options=options,
        )

    def has_passkeys(self, request: Request) -> bool:
        """Whether the browser may use passkeys here: it came by a name of ours, and not by an address."""
        host = request.url.hostname or ""
        return host in self.hosts and not host.replace(".", "").isdigit() and ":" not in host

    def passkey_place(self, request: Request) -> tuple[str, str]:
        """Return host and origin to which passkeys are bound; raises InputError."""
        if not self.has_passkeys(request):
            raise InputError("passkeys work only where the portal is opened by its own name, not by an address")
        return request.url.hostname or "", f"https://{request.headers.get('host', '')}"

    # -- in, and out --------------------------------------------------------------------------------------------------

    async def let_in(self, request: Request, attempt: Attempt, wanted: str) -> Response:
        """Sign the browser in; whoever was signed in with it before is out. Raises Refused if he may not any more."""
        address, now = address_of(request), self.portal.clock()
        browser = request.headers.get("user-agent", "")
        entered = await self.portal.enter(request)

        def admit(session: Session) -> bytes:
            person = attempt.person
            by = Actor(person.user_id, person.name, (), "portal", address)
            self.logins.passed(session, attempt, by, now)
            if entered is not None:
                end_session(session, entered.visitor.actor.user_id, entered.visitor.session_id)
            return open_session(session, person.user_id, attempt.certificate_sha256, address, browser, now)

        secret = await self.portal.store.note(admit)
        self.logins.remember_place(attempt, group_of(address))
        response = RedirectResponse(wanted, 303)
        cookies.put(response, COOKIE, secret)
        cookies.put(response, cookies.KNOWN, self.logins.device_word(attempt.person.user_id), DEVICE_S)
        cookies.take_away(response, cookies.LOGIN)
        return response

    async def sign_out(self, visit: Visit) -> Response:
        """End the browser's session."""
        await visit.write(sign_out, visit.visitor.session_id, visit.now)
        response = RedirectResponse(SIGN_IN, 303)
        cookies.take_away(response, COOKIE)
        return response


def _presented(request: Request) -> bytes | None:
    certificate = getattr(request.state, "client_certificate", b"")
    return certificate_sha256(certificate) if certificate else None


def _key(secret: bytes) -> bytes:
    return hashlib.sha256(secret).digest()

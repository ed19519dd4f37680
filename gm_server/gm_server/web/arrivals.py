"""Coming to an account for the first time, or back to it: the links of invitations and of forgotten passwords.

Both let their holder choose a password. An invitation also signs him in, so that he can set up what his login needs; a
link for a forgotten password does not: second factor and certificate are asked for as ever.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Any, Final

from sqlalchemy.orm import Session
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import BaseRoute, Route

from gatelink.claims import parse_claim
from gatelink.exceptions import GatelinkError, InputError, Refused
from gatelink.identity import certificate_sha256
from gm_server.access.actors import Actor, Via
from gm_server.accounts import invitations, web_sessions
from gm_server.accounts.invitations import RESET_S, Invited
from gm_server.accounts.login import DEVICE_S
from gm_server.accounts.passwords import MAX_CHARACTERS, MIN_CHARACTERS, PasswordPool, check_password
from gm_server.accounts.people import find_certificate
from gm_server.accounts.seals import Seals
from gm_server.accounts.throttle import Throttle
from gm_server.audit.events import Event
from gm_server.audit.log import Subject, record
from gm_server.frontdoor.places import group_of
from gm_server.mail.letters import password_reset
from gm_server.mail.outbox import queue

from . import cookies
from .entrance import Entrance
from .forms import Form
from .visitors import COOKIE
from .visits import SIGN_IN, address_of

_FREE_PER_ADDRESS: Final = 20
_FREE_PER_NAME: Final = 3
_PORTAL: Final[Via] = "portal"
_log = logging.getLogger("gm.login")


class Arrivals:
    """The pages behind links. ``base`` is the portal's own address, for the links in mails."""

    def __init__(self, entrance: Entrance, passwords: PasswordPool, seals: Seals, base: Callable[[], str]) -> None:
        self._entrance = entrance
        self._portal = entrance.portal
        self._passwords = passwords
        self._seals = seals
        self._base = base
        self._by_address = Throttle(_FREE_PER_ADDRESS)
        self._by_name = Throttle(_FREE_PER_NAME, longest_s=900.0)
        self._tasks: set[asyncio.Task[None]] = set()

    def routes(self) -> list[BaseRoute]:
        """Return the routes."""
        both = ["GET", "POST"]
        guarded = self._entrance.guarded
        return [
            Route("/invitation", guarded(self.invitation), methods=both),
            Route("/reset", guarded(self.ask_reset), methods=both),
            Route("/reset/{word}", guarded(self.reset), methods=both),
        ]

    async def invitation(self, request: Request, form: Form, secret: bytes) -> Response:
        """Let an invited person choose a password, and in.

        The link carries the invitation behind ``#``, which no server and no log sees; a script puts it into the form.
        Without script it is pasted there.
        """
        store, now = self._portal.store, self._portal.clock()
        text = form.raw("invitation")
        if request.method != "POST":
            return self._entrance.alone(request, "invitation_open.html", secret)
        try:
            claim = parse_claim(text, "user")
        except InputError as error:
            return self._entrance.alone(request, "invitation_open.html", secret, 422, error=str(error))
        self._slow_down(request, now)
        invited = await store.read(invitations.find_invitation, claim.claim_id, claim.secret, now)
        self._by_address.take_back(group_of(address_of(request)))
        if "password" not in form:
            return self._ask_password(request, secret, invited, first=True, invitation=text)
        try:
            password_hash = await self._new_password(form, invited.user)
        except InputError as error:
            return self._ask_password(request, secret, invited, 422, first=True, invitation=text, error=str(error))
        address = address_of(request)
        browser = request.headers.get("user-agent", "")
        presented = getattr(request.state, "client_certificate", b"")

        def admit(session: Session) -> bytes:
            done = invitations.redeem_in_browser(session, claim.claim_id, claim.secret, password_hash, now)
            by = Actor(done.user_id, done.user, (), _PORTAL, address)
            subject = Subject(done.user_id, done.user, done.domain)
            record(session, by, Event.INVITATION_REDEEMED, subject, now, "done", invitation=done.claim_id)
            web_sessions.end_sessions(session, done.user_id)
            known = find_certificate(session, certificate_sha256(presented), now) if presented else None
            own = known.digest if known is not None and known.is_good and known.user_id == done.user_id else None
            return web_sessions.open_session(session, done.user_id, own, address, browser, now)

        session_secret = await store.write(admit)
        response = RedirectResponse("/account", 303)
        cookies.put(response, COOKIE, session_secret)
        cookies.put(response, cookies.KNOWN, self._entrance.logins.device_word(invited.user_id), DEVICE_S)
        cookies.take_away(response, cookies.LOGIN)
        return response

    async def ask_reset(self, request: Request, form: Form, secret: bytes) -> Response:
        """Mail a link to who has forgotten his password; the answer is the same for every name."""
        if request.method != "POST":
            return self._entrance.alone(request, "reset_ask.html", secret, sent=False)
        now = self._portal.clock()
        self._slow_down(request, now)
        name = form.text("name")[:128]
        mailing = asyncio.create_task(self._mail_reset(name, address_of(request), now))
        self._tasks.add(mailing)
        mailing.add_done_callback(self._tasks.discard)
        return self._entrance.alone(request, "reset_ask.html", secret, sent=True)

    async def reset(self, request: Request, form: Form, secret: bytes) -> Response:
        """Replace a forgotten password."""
        store, now, word = self._portal.store, self._portal.clock(), str(request.path_params["word"])
        self._slow_down(request, now)
        found = await store.read(invitations.find_reset, self._seals, word, now)
        self._by_address.take_back(group_of(address_of(request)))
        if request.method != "POST":
            return self._ask_password(request, secret, found, first=False)
        try:
            password_hash = await self._new_password(form, found.user)
        except InputError as error:
            return self._ask_password(request, secret, found, 422, first=False, error=str(error))
        address = address_of(request)

        def change(session: Session) -> None:
            person = invitations.find_reset(session, self._seals, word, now)
            invitations.set_password(session, person.user_id, password_hash, now)
            web_sessions.end_sessions(session, person.user_id)
            by = Actor(person.user_id, person.user, (), _PORTAL, address)
            subject = Subject(person.user_id, person.user, person.domain)
            record(session, by, Event.PASSWORD_CHANGED, subject, now, "done", by="mail")

        await store.write(change)
        response = RedirectResponse(SIGN_IN, 303)
        # Whoever guesses at this account from elsewhere does not keep its owner out.
        cookies.put(response, cookies.KNOWN, self._entrance.logins.device_word(found.user_id), DEVICE_S)
        return response

    async def close(self) -> None:
        """Give up what is being done."""
        for task in tuple(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _mail_reset(self, name: str, address: str, now: float) -> None:
        if self._by_name.wait_s(name.casefold(), now) > 0:
            return
        self._by_name.attempt(name.casefold(), now)

        def write(session: Session) -> None:
            found = invitations.whom_to_mail(session, name)
            if found is None:
                return
            user_id, email = found
            link = f"{self._base()}/reset/{invitations.reset_word(session, self._seals, user_id, now)}"
            letter = password_reset(self._portal.about().name, name, link, RESET_S / 60)
            if queue(session, email, letter, now, RESET_S):
                by = Actor("", "", (), _PORTAL, address)
                record(session, by, Event.PASSWORD_RESET_ASKED, Subject(user_id, name), now, "done")

        try:
            await self._portal.store.note(write)
        except GatelinkError as error:
            _log.warning("no mail for a forgotten password: %s", error)

    def _slow_down(self, request: Request, now: float) -> None:
        """Links cannot be guessed; trying many of them is slowed all the same."""
        group = group_of(address_of(request))
        wait_s = self._by_address.wait_s(group, now)
        if wait_s > 0:
            raise Refused("try-later", f"too many attempts: try again in {wait_s + 0.5:.0f} s")
        self._by_address.attempt(group, now)

    async def _new_password(self, form: Form, user: str) -> str:
        password = form.raw("password")
        if password != form.raw("again"):
            raise InputError("the two passwords are not the same")
        check_password(password, user)
        return await self._passwords.hash(password)

    def _ask_password(
        self,
        request: Request,
        secret: bytes,
        invited: Invited,
        status: int = 200,
        *,
        first: bool,
        invitation: str = "",
        **values: Any,
    ) -> Response:
        return self._entrance.alone(
            request,
            "new_password.html",
            secret,
            status,
            user=invited.user,
            first=first,
            invitation=invitation,
            min_characters=MIN_CHARACTERS,
            max_characters=MAX_CHARACTERS,
            **values,
        )

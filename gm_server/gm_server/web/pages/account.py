"""One's own account: password, second factors, certificates, browsers. What is dangerous asks who it is again."""

from __future__ import annotations

import secrets
from collections.abc import Awaitable, Callable
from typing import Final
from urllib.parse import quote

import segno
from markupsafe import Markup
from starlette.responses import RedirectResponse, Response
from starlette.routing import BaseRoute, Route

from gatelink.exceptions import GatelinkError, InputError
from gatelink.identity import Identity
from gm_server.accounts import totp
from gm_server.accounts.factors import own_totp
from gm_server.accounts.passkeys import registration_options
from gm_server.accounts.passwords import MAX_CHARACTERS, MIN_CHARACTERS, PasswordPool, check_password
from gm_server.accounts.seals import Seals
from gm_server.accounts.web_sessions import CONFIRMED_S
from gm_server.acts import people
from gm_server.acts import tokens as token_acts
from gm_server.acts.certificates import revoke_certificate
from gm_server.acts.paging import Paging
from gm_server.acts.tokens import NewToken
from gm_server.exceptions import NotFound
from gm_server.web.entrance import Entrance
from gm_server.web.forms import convert
from gm_server.web.texts import languages, own_name
from gm_server.web.visits import SIGN_IN, Visit, status_of

_PKCS12: Final = "application/x-pkcs12"
_BOTH: Final = ["GET", "POST"]


class AccountPages:
    """The pages below ``/account``."""

    def __init__(self, entrance: Entrance, passwords: PasswordPool, authority: Identity, seals: Seals) -> None:
        self._entrance = entrance
        self._passwords = passwords
        self._authority = authority
        self._seals = seals

    def routes(self) -> list[BaseRoute]:
        """Return the routes; those of dangerous things ask for a fresh proof of the person."""
        page, sure = self._entrance.portal.page, self._confirmed
        return [
            Route("/account", page(self.account), methods=["GET"]),
            Route("/account/language", page(self.language), methods=["POST"]),
            Route("/account/password", page(sure(self.password)), methods=_BOTH),
            Route("/account/app", page(sure(self.app)), methods=_BOTH),
            Route("/account/passkey", page(sure(self.passkey)), methods=_BOTH),
            Route("/account/recovery-codes", page(sure(self.recovery_codes)), methods=_BOTH),
            Route("/account/factors/{id}/remove", page(sure(self.remove_factor)), methods=["POST"]),
            Route("/account/certificate", page(sure(self.certificate)), methods=_BOTH),
            Route("/account/certificates/{id}/revoke", page(sure(self.revoke)), methods=["POST"]),
            Route("/account/tokens", page(sure(self.tokens)), methods=_BOTH),
            Route("/account/tokens/{id}/revoke", page(self.revoke_token), methods=["POST"]),
            Route("/account/link-manager", page(sure(self.link_manager)), methods=_BOTH),
            Route("/account/link-managers/{id}/sign-out", page(self.sign_out_link_manager), methods=["POST"]),
            Route("/account/browsers/{id}/sign-out", page(self.sign_out), methods=["POST"]),
            Route("/account/browsers/sign-out-others", page(self.sign_out_others), methods=["POST"]),
        ]

    def _confirmed(self, make: Callable[[Visit], Awaitable[Response]]) -> Callable[[Visit], Awaitable[Response]]:
        """Let a page be made only for who has proved himself lately; he comes back to it."""

        async def confirmed(visit: Visit) -> Response:
            if visit.now - visit.visitor.confirmed_at <= CONFIRMED_S:
                return await make(visit)
            # What was typed is not carried along: only a page that can be opened is come back to.
            back = "/account" if visit.is_post else visit.request.url.path
            return RedirectResponse(f"{SIGN_IN}?next={quote(back, safe='')}", 303)

        confirmed.__name__ = make.__name__
        return confirmed

    async def account(self, visit: Visit) -> Response:
        """Show all that is one's own."""
        own = await visit.read(people.own_account, visit.now)
        online = {user.certificate_sha256: user for user in visit.live.users() if user.user_id == visit.by.user_id}
        return visit.show(
            "account.html",
            own=own,
            link_managers=[(kept, online[kept.sha256]) for kept in own.certificates if kept.sha256 in online],
            sessions=[session for session in visit.live.sessions() if session.user_id == visit.by.user_id],
            languages=[(language, own_name(language)) for language in languages()],
            here=visit.visitor.session_id,
            has_passkeys=self._entrance.has_passkeys(visit.request),
        )

    async def language(self, visit: Visit) -> Response:
        """Read the portal in another language."""
        chosen = visit.form.text("language")
        if chosen and chosen not in languages():
            raise InputError("choose one of the languages")
        await visit.write(people.change_language, chosen, visit.now)
        return visit.to("/account", "saved")

    async def password(self, visit: Visit) -> Response:
        """Change the password."""
        values = {"min_characters": MIN_CHARACTERS, "max_characters": MAX_CHARACTERS}
        if not visit.is_post:
            return visit.show("account_password.html", **values)
        try:
            password = visit.form.raw("password")
            if password != visit.form.raw("again"):
                raise InputError("the two passwords are not the same")
            check_password(password, visit.by.name)
            password_hash = await self._passwords.hash(password)
            await visit.write(people.change_password, password_hash, visit.now, visit.visitor.session_id)
        except InputError as error:
            return visit.again("account_password.html", error, **values)
        return visit.to("/account", "password-changed")

    async def app(self, visit: Visit) -> Response:
        """Set up an authenticator app: show its secret, then look at a code of it."""
        if not visit.is_post:
            return visit.show("account_app.html", factor_id="")
        factor_id = visit.form.text("factor")
        if not factor_id:
            factor = await visit.write(people.begin_app, visit.form.text("name"), visit.now)
            return self._show_app(visit, factor.id, factor.secret)
        try:
            await visit.write(people.confirm_app, factor_id, visit.form.text("code"), visit.now)
        except InputError as error:
            secret = await visit.read(lambda session, by: own_totp(session, by.user_id, factor_id).secret)
            return self._show_app(visit, factor_id, secret, error)
        return visit.to("/account", "factor-added")

    def _show_app(self, visit: Visit, factor_id: str, secret: bytes, error: GatelinkError | None = None) -> Response:
        uri = totp.enrolment_uri(secret, visit.portal.about().name, visit.by.name)
        drawn = segno.make(uri, error="m").svg_inline(svgclass="qr", lineclass=None, light="#ffffff", omitsize=True)
        return visit.show(
            "account_app.html",
            status_of(error) if error is not None else 200,
            factor_id=factor_id,
            picture=Markup(drawn),  # noqa: S704 - made of a picture's points alone
            secret=totp.secret_text(secret),
            error=str(error) if error is not None else "",
        )

    async def passkey(self, visit: Visit) -> Response:
        """Make a passkey. Its challenge is a seal: it ends, and is this session's alone."""
        host, origin = self._entrance.passkey_place(visit.request)
        bound = visit.visitor.secret
        if visit.is_post:
            challenge = _from_hex(visit.form.text("challenge"))
            if not self._seals.is_good(challenge[16:], "passkey", visit.by.user_id, bound + challenge[:16], visit.now):
                raise InputError("this took too long: open the page again")
            name, answer = visit.form.text("name"), visit.form.raw("answer")
            await visit.write(people.add_passkey, name, answer, challenge, host, origin, visit.now)
            return visit.to("/account", "factor-added")
        nonce = secrets.token_bytes(16)
        challenge = nonce + self._seals.make("passkey", visit.by.user_id, bound + nonce, visit.now + 300)
        issuer, name = visit.portal.about().name, visit.by.name
        options = await visit.read(
            lambda session, by: registration_options(session, by.user_id, name, host, issuer, challenge)
        )
        return visit.show("account_passkey.html", options=options, challenge=challenge.hex())

    async def recovery_codes(self, visit: Visit) -> Response:
        """Make recovery codes and show them, once."""
        if not visit.is_post:
            return visit.show("account_codes.html", codes=())
        return visit.show("account_codes.html", codes=await visit.write(people.make_recovery_codes, visit.now))

    async def remove_factor(self, visit: Visit) -> Response:
        """Remove an app or a passkey."""
        await visit.write(people.remove_factor, visit.name(), visit.now)
        return visit.to("/account", "factor-removed")

    async def certificate(self, visit: Visit) -> Response:
        """Make a certificate and give it out as a file, once; maybe in the place of another one."""
        replaces = visit.form.text("replaces") or visit.query.text("replaces")
        values = {"min_characters": MIN_CHARACTERS, "max_characters": MAX_CHARACTERS, "replaces": replaces}
        if not visit.is_post:
            return visit.show("account_certificate.html", 200, **values)
        try:
            password = visit.form.raw("password")
            if password != visit.form.raw("again"):
                raise InputError("the two passwords are not the same")
            name = visit.form.text("name")
            data = await visit.write(
                people.new_certificate, self._authority, name, password, visit.now, replaces=replaces
            )
        except InputError as error:
            return visit.again("account_certificate.html", error, **values)
        # ASCII, and no quotes: the name stands in a header.
        name = "".join(letter if letter.isascii() and letter.isalnum() else "-" for letter in visit.by.name)
        headers = {"Content-Disposition": f'attachment; filename="{name}.p12"'}
        return Response(data, media_type=_PKCS12, headers=headers)

    async def revoke(self, visit: Visit) -> Response:
        """Revoke a certificate of one's own."""
        own = await visit.read(people.own_account, visit.now)
        if visit.name() not in {certificate.id for certificate in own.certificates}:
            raise InputError("this is no certificate of yours")
        await visit.write(revoke_certificate, visit.name(), visit.now)
        return visit.to("/account", "certificate-revoked")

    async def tokens(self, visit: Visit) -> Response:
        """Make API tokens; the secret of one is shown this once."""
        made, error = None, None
        if visit.is_post:
            try:
                days = visit.form.number("days", "the number of days")
                fields = {"name": visit.form.text("name"), "scopes": ["read", *visit.form.all("scope")], "days": days}
                made = await visit.write(token_acts.make_token, convert(fields, NewToken), visit.now)
            except GatelinkError as failed:
                error = failed
        own = await visit.read(token_acts.list_tokens, Paging(limit=200), visit.now, visit.by.user_id)
        if error is not None:
            return visit.again("account_tokens.html", error, tokens=own, made=None)
        return visit.show("account_tokens.html", tokens=own, made=made)

    async def revoke_token(self, visit: Visit) -> Response:
        """Let a token be of no use any more."""
        own = await visit.read(token_acts.list_tokens, Paging(limit=500), visit.now, visit.by.user_id)
        if visit.name() not in {token.id for token in own.items}:
            raise NotFound("there is no such token of yours")
        await visit.write(token_acts.revoke_token, visit.name(), visit.now)
        return visit.to("/account/tokens", "saved")

    async def link_manager(self, visit: Visit) -> Response:
        """Make an invitation for a LinkManager of one's own."""
        text = ""
        if visit.is_post:
            text = await visit.write(people.invite_own_link_manager, visit.portal.sender(), visit.now)
        return visit.show("account_link_manager.html", text=text)

    async def sign_out_link_manager(self, visit: Visit) -> Response:
        """Sign a LinkManager of one's own out."""
        visit.live.sign_out(await visit.write(people.sign_out_link_manager, visit.name(), visit.now))
        return visit.to("/account", "signed-out")

    async def sign_out(self, visit: Visit) -> Response:
        """Sign a browser out."""
        await visit.write(people.sign_out, visit.name(), visit.now)
        return visit.to("/account", "signed-out")

    async def sign_out_others(self, visit: Visit) -> Response:
        """Sign all other browsers out."""
        await visit.write(people.sign_out_others, visit.visitor.session_id, visit.now)
        return visit.to("/account", "signed-out")


def _from_hex(text: str) -> bytes:
    try:
        return bytes.fromhex(text[:256])
    except ValueError:
        return b""

"""One's own account: password, second factors, certificates, browsers. Everybody may, in person.

Dangerous ones want a fresh proof of the person; the portal asks for it before it calls. A token may look, and may sign
out: what makes a way in, or takes a protection away, is for nobody who only holds a secret (decision 0151).
"""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from typing import Final

import msgspec
from sqlalchemy.orm import Session

from gatelink.exceptions import InputError
from gatelink.identity import Identity, issue, make_request, new_key, serial_text, to_pkcs12
from gm_server.access.actors import Actor, Permission
from gm_server.accounts import factors, passkeys, web_sessions
from gm_server.accounts.attempts import Person
from gm_server.accounts.invitations import set_password
from gm_server.accounts.methods import Method, needs_certificate, needs_second_factor
from gm_server.accounts.people import person_by_id
from gm_server.accounts.users import add_certificate
from gm_server.audit.events import Event
from gm_server.audit.log import Detail, Subject, record
from gm_server.database.tables import Passkey, TotpFactor, User, UserCertificate, WebSession
from gm_server.enrolment import claims
from gm_server.enrolment.claims import Sender
from gm_server.enrolment.redeem import USER_LIFETIME_DAYS
from gm_server.exceptions import Conflict, Forbidden, NotFound
from gm_server.names import check_text

LINK_MANAGER_DAYS: Final = 1 / 24
"""How long somebody has to bring his own invitation to his PC."""
RENEWAL_S: Final = 14 * 86400.0
"""How long a certificate that is replaced is still good."""


class FactorView(msgspec.Struct, frozen=True):
    """An authenticator app or a passkey."""

    id: str
    name: str
    created_at: float
    last_used_at: float | None = None


class BrowserView(msgspec.Struct, frozen=True):
    """Where somebody is signed in."""

    id: str
    browser: str
    address: str
    created_at: float
    last_seen_at: float


class OwnCertificate(msgspec.Struct, frozen=True):
    """A certificate of one's own that is good."""

    id: str
    name: str
    serial: str
    origin: str
    software: str
    issued_at: float
    last_seen_at: float | None
    expires_at: float | None
    sha256: bytes


class Account(msgspec.Struct, frozen=True, kw_only=True):
    """All that is one's own."""

    name: str
    full_name: str
    domain: str
    email: str
    phone: str
    language: str
    method: Method
    password_changed_at: float | None
    apps: tuple[FactorView, ...]
    passkeys: tuple[FactorView, ...]
    recovery_codes: int
    certificates: tuple[OwnCertificate, ...]
    browsers: tuple[BrowserView, ...]

    @property
    def lacks_factor(self) -> bool:
        """Whether the next login would fail for want of a second factor."""
        return needs_second_factor(self.method) and not (self.phone or self.apps or self.passkeys)

    @property
    def lacks_certificate(self) -> bool:
        """Whether the next login would fail for want of a certificate."""
        return needs_certificate(self.method) and not any(kept.expires_at is None for kept in self.certificates)


def own_account(session: Session, by: Actor, now: float) -> Account:
    """Return one's own account."""
    person, user = _own(session, by, Permission.SEE)
    return Account(
        name=user.name,
        full_name=user.full_name,
        domain=person.domain,
        email=user.email,
        phone=user.phone,
        language=user.language,
        method=person.method,
        password_changed_at=user.password_changed_at,
        apps=tuple(FactorView(app.id, app.name, app.created_at) for app in factors.list_totp(session, user.id)),
        passkeys=tuple(
            FactorView(key.id, key.name, key.created_at, key.last_used_at)
            for key in passkeys.list_passkeys(session, user.id)
        ),
        recovery_codes=factors.count_recovery_codes(session, user.id),
        certificates=tuple(_certificates(session, user.id, now)),
        browsers=tuple(_browser(kept) for kept in web_sessions.list_sessions(session, user.id, now)),
    )


def change_language(session: Session, by: Actor, language: str, now: float) -> None:
    """Read the portal in another language."""
    _, user = _own(session, by, Permission.CHANGE)
    user.language = check_text(language, "the language", 8)
    session.flush()


def change_password(session: Session, by: Actor, password_hash: str, now: float, keep_session: str = "") -> None:
    """Replace one's password; every other browser is signed out."""
    person, _ = _own(session, by)
    set_password(session, person.user_id, password_hash, now)
    web_sessions.end_sessions(session, person.user_id, but=keep_session)
    _record(session, by, person, Event.PASSWORD_CHANGED, now)


def begin_app(session: Session, by: Actor, name: str, now: float) -> TotpFactor:
    """Make the secret of an authenticator app."""
    person, _ = _own(session, by)
    return factors.begin_totp(session, person.user_id, name, now)


def confirm_app(session: Session, by: Actor, factor_id: str, code: str, now: float) -> None:
    """Let the app count from now on; raises InputError if the code is not its."""
    person, _ = _own(session, by)
    if factors.own_totp(session, person.user_id, factor_id).confirmed_at is None:
        app = factors.confirm_totp(session, person.user_id, factor_id, code, now)
        _record(session, by, person, Event.FACTOR_ADDED, now, kind="totp", name=app.name)


def add_passkey(
    session: Session, by: Actor, name: str, answer: str, challenge: bytes, host: str, origin: str, now: float
) -> None:
    """Keep a passkey that the browser made."""
    person, _ = _own(session, by)
    passkey = passkeys.add_passkey(session, person.user_id, name, answer, challenge, host, origin, now)
    _record(session, by, person, Event.FACTOR_ADDED, now, kind="passkey", name=passkey.name)


def remove_factor(session: Session, by: Actor, factor_id: str, now: float) -> None:
    """Remove an app or a passkey; raises Conflict if one must be left and it is the last."""
    person, user = _own(session, by)
    factor = session.get(TotpFactor, factor_id) or session.get(Passkey, factor_id)
    if factor is None or factor.user_id != user.id:
        raise NotFound("there is no such second factor")
    session.delete(factor)
    session.flush()
    left = person_by_id(session, user.id)
    own = left.own_factors & {"totp", "passkey"} if left is not None else frozenset()
    if needs_second_factor(person.method) and not own and not user.phone:
        raise Conflict("a second factor is asked of you and this is the last: add another one first")
    kind = "totp" if isinstance(factor, TotpFactor) else "passkey"
    _record(session, by, person, Event.FACTOR_REMOVED, now, kind=kind, name=factor.name)


def make_recovery_codes(session: Session, by: Actor, now: float) -> tuple[str, ...]:
    """Replace one's recovery codes; the new ones are shown this once."""
    person, _ = _own(session, by)
    codes = factors.make_recovery_codes(session, person.user_id)
    _record(session, by, person, Event.RECOVERY_CODES_MADE, now, count=len(codes))
    return codes


def new_certificate(
    session: Session, by: Actor, authority: Identity, name: str, file_password: str, now: float, replaces: str = ""
) -> bytes:
    """Return a PKCS#12 file with a new key and certificate of one's own; no key is kept here.

    The one that it replaces ends by itself after ``RENEWAL_S``: until then the new one can be put in its place.
    """
    person, user = _own(session, by)
    if len(file_password) < 10:
        raise InputError(f"the file's password needs 10 characters or more, got {len(file_password)}")
    name = check_text(name.strip(), "the certificate's name", 64)
    key = new_key()
    moment = datetime.datetime.fromtimestamp(now, datetime.UTC)
    certificate = issue(make_request(key), authority, user.name, moment, USER_LIFETIME_DAYS)
    if replaces:
        old = _own_certificate(session, user.id, replaces, now)
        old.expires_at = min(now + RENEWAL_S, old.expires_at or now + RENEWAL_S)
        name = name or old.name
    kept = add_certificate(session, user.id, certificate, "renewal" if replaces else "pkcs12", "", now)
    kept.name = name
    _record(session, by, person, Event.CERTIFICATE_ISSUED, now, origin=kept.origin, serial=serial_text(certificate))
    return to_pkcs12(Identity(certificate, key), user.name, file_password)


def invite_own_link_manager(session: Session, by: Actor, sender: Sender, now: float) -> str:
    """Return an invitation's text for a LinkManager of one's own, good for an hour."""
    person, user = _own(session, by)
    claim, text = claims.create_invitation(session, user, sender, LINK_MANAGER_DAYS, now)
    _record(session, by, person, Event.USER_INVITED, now, invitation=claim.id, own=True)
    return text


def sign_out(session: Session, by: Actor, session_id: str, now: float) -> None:
    """Sign one of one's own browsers out. Idempotent."""
    person, _ = _own(session, by, Permission.CHANGE)
    if web_sessions.end_session(session, person.user_id, session_id):
        _record(session, by, person, Event.LOGOUT, now, browser=session_id)


def sign_out_link_manager(session: Session, by: Actor, certificate_id: str, now: float) -> bytes:
    """Record that a LinkManager of one's own is to be signed out; return the SHA-256 of its certificate.

    The running server does it then (``service.live``). To keep a lost PC out its certificate is to be revoked.
    """
    person, user = _own(session, by, Permission.CHANGE)
    kept = _own_certificate(session, user.id, certificate_id, now)
    _record(session, by, person, Event.LOGOUT, now, link_manager=serial_text(kept.certificate))
    return kept.certificate_sha256


def sign_out_others(session: Session, by: Actor, session_id: str, now: float) -> int:
    """Sign every browser out but this one; return how many."""
    person, _ = _own(session, by, Permission.CHANGE)
    count = web_sessions.end_sessions(session, person.user_id, but=session_id)
    if count:
        _record(session, by, person, Event.LOGOUT, now, browsers=count)
    return count


def _own(session: Session, by: Actor, permission: Permission | None = None) -> tuple[Person, User]:
    """Return who acts; ``permission`` is what a token needs for it, None: no token may."""
    person = person_by_id(session, by.user_id) if by.user_id else None
    if person is None:
        raise Forbidden("this is for people with an account of their own")
    if by.scopes is not None and permission not in by.scopes:
        raise Forbidden("a token may not do this: sign in to the portal")
    return person, session.get_one(User, person.user_id)


def _record(session: Session, by: Actor, person: Person, event: Event, now: float, **details: Detail) -> None:
    record(session, by, event, Subject(person.user_id, person.name, person.domain), now, "done", **details)


def _own_certificate(session: Session, user_id: str, certificate_id: str, now: float) -> UserCertificate:
    kept = session.get(UserCertificate, certificate_id)
    over = kept is None or kept.revoked_at is not None or (kept.expires_at is not None and now >= kept.expires_at)
    if kept is None or over or kept.user_id != user_id:
        raise NotFound("there is no such certificate of yours")
    return kept


def _certificates(session: Session, user_id: str, now: float) -> Sequence[OwnCertificate]:
    query = session.query(UserCertificate).where(
        UserCertificate.user_id == user_id, UserCertificate.revoked_at.is_(None)
    )
    return [
        OwnCertificate(
            kept.id,
            kept.name,
            serial_text(kept.certificate),
            kept.origin,
            kept.software,
            kept.issued_at,
            kept.last_seen_at,
            kept.expires_at,
            kept.certificate_sha256,
        )
        for kept in query.order_by(UserCertificate.issued_at.desc())
        if kept.expires_at is None or now < kept.expires_at
    ]


def _browser(kept: WebSession) -> BrowserView:
    return BrowserView(kept.id, kept.browser, kept.address, kept.created_at, kept.last_seen_at)

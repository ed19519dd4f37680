"""The account of whom the token acts for: looked at, and signed out. Ways in are made in the portal alone (0151).

One's own certificates and tokens are listed and revoked where everybody's are: ``/certificates``, ``/tokens``.
"""

from __future__ import annotations

from typing import Annotated, Final

import msgspec
from msgspec import Meta
from sqlalchemy.orm import Session

from gatelink.exceptions import InputError
from gm_server.accounts.methods import Method
from gm_server.acts import people
from gm_server.acts.people import Account, BrowserView, FactorView
from gm_server.acts.subjects import missing
from gm_server.api.endpoints import Call, Endpoint
from gm_server.service.live import Live
from gm_server.web.texts import languages


class AccountView(msgspec.Struct, frozen=True, kw_only=True):
    """One's own account."""

    name: str
    full_name: str
    domain: str
    email: str
    phone: str
    language: str
    """Empty: what the browser asks for."""
    method: Method
    """How one logs in."""
    password_changed_at: float | None
    apps: tuple[FactorView, ...]
    passkeys: tuple[FactorView, ...]
    recovery_codes: int
    """How many are left."""


class AccountChange(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What to change of it."""

    language: Annotated[str, Meta(max_length=8)]


class LinkManagerView(msgspec.Struct, frozen=True, kw_only=True):
    """A LinkManager of one's own that is connected."""

    certificate_id: str
    name: str
    software: str
    since: float
    address: str


class SignedOut(msgspec.Struct, frozen=True):
    """How many browsers were signed out."""

    browsers: int


class _Certificates(msgspec.Struct, frozen=True):
    """One's own certificates, by their SHA-256; which of them are in use only the running server knows."""

    known: dict[bytes, people.OwnCertificate]


def _view(own: Account) -> AccountView:
    return AccountView(**{name: getattr(own, name) for name in AccountView.__struct_fields__})


def _account(session: Session, call: Call) -> AccountView:
    return _view(people.own_account(session, call.by, call.now))


def _change(session: Session, call: Call) -> AccountView:
    body: AccountChange = call.body
    if body.language and body.language not in languages():
        raise InputError(f"expected a language of {', '.join(languages())}, got {body.language}")
    people.change_language(session, call.by, body.language, call.now)
    return _account(session, call)


def _browsers(session: Session, call: Call) -> tuple[BrowserView, ...]:
    return people.own_account(session, call.by, call.now).browsers


def _sign_out(session: Session, call: Call) -> None:
    if call.id not in {browser.id for browser in _browsers(session, call)}:
        missing("browser", call.id)
    people.sign_out(session, call.by, call.id, call.now)


def _certificates(session: Session, call: Call) -> _Certificates:
    own = people.own_account(session, call.by, call.now).certificates
    return _Certificates({kept.sha256: kept for kept in own})


def _link_managers(live: Live, own: _Certificates) -> tuple[LinkManagerView, ...]:
    found = [(own.known.get(user.certificate_sha256), user) for user in live.users()]
    return tuple(
        LinkManagerView(
            certificate_id=kept.id, name=kept.name, software=kept.software, since=user.since, address=user.address
        )
        for kept, user in found
        if kept is not None
    )


ENDPOINTS: Final = (
    Endpoint(
        method="GET",
        path="/me/account",
        name="getAccount",
        summary="Read one's own account",
        tag="Account",
        scope="read",
        answer=AccountView,
        work=_account,
    ),
    Endpoint(
        method="PATCH",
        path="/me/account",
        name="changeAccount",
        summary="Read the portal in another language",
        tag="Account",
        scope="change",
        body=AccountChange,
        answer=AccountView,
        work=_change,
    ),
    Endpoint(
        method="GET",
        path="/me/browsers",
        name="listBrowsers",
        summary="List the browsers in which one is signed in",
        tag="Account",
        scope="read",
        answer=tuple[BrowserView, ...],
        work=_browsers,
    ),
    Endpoint(
        method="DELETE",
        path="/me/browsers/{browser_id}",
        name="signOutBrowser",
        summary="Sign one of one's browsers out",
        tag="Account",
        scope="change",
        work=_sign_out,
    ),
    Endpoint(
        method="POST",
        path="/me/browsers/sign-out",
        name="signOutBrowsers",
        summary="Sign all of one's browsers out",
        tag="Account",
        scope="change",
        answer=SignedOut,
        work=lambda session, call: SignedOut(people.sign_out_others(session, call.by, "", call.now)),
    ),
    Endpoint(
        method="GET",
        path="/me/link-managers",
        name="listLinkManagers",
        summary="List one's LinkManagers that are connected",
        tag="Account",
        scope="read",
        answer=tuple[LinkManagerView, ...],
        work=_certificates,
        finish=_link_managers,
    ),
    Endpoint(
        method="POST",
        path="/me/link-managers/{certificate_id}/sign-out",
        name="signOutLinkManager",
        summary="Sign a LinkManager of one's own out; its sessions end",
        tag="Account",
        scope="change",
        work=lambda session, call: people.sign_out_link_manager(session, call.by, call.id, call.now),
        finish=lambda live, sha256: live.sign_out(sha256),
    ),
)

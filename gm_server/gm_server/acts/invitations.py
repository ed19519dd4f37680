"""Invitations: how a person comes to an account that was made for him, and back to one that he lost."""

from __future__ import annotations

import msgspec
from sqlalchemy import select
from sqlalchemy.orm import Session

from gm_server.access.actors import Actor, Permission
from gm_server.audit.events import Event
from gm_server.audit.log import record
from gm_server.database.tables import Claim, Domain, User
from gm_server.enrolment import claims as records
from gm_server.enrolment.claims import Sender

from .authority import must_have_power_over
from .claims import ClaimState
from .paging import Page, Paging, fetch, matches
from .sight import sight_of
from .subjects import UserFound, find_user, missing


class InvitationView(msgspec.Struct, frozen=True, kw_only=True):
    """An invitation; its secret is known only to whom it was handed."""

    id: str
    user_id: str
    user: str
    state: ClaimState
    created_at: float
    expires_at: float
    used_at: float | None


class InvitationMade(InvitationView, frozen=True, kw_only=True):
    """An invitation with its text, which is shown this once."""

    text: str


def list_invitations(session: Session, by: Actor, paging: Paging, now: float, user: str = "") -> Page[InvitationView]:
    """Return invitations of users in domains that the actor sees, newest first."""
    query = (
        select(Claim, User.name)
        .join(User, User.id == Claim.user_id)
        .join(Domain, Domain.id == User.domain_id)
        .where(sight_of(session, by, now).domains(Domain.path), matches(paging.search, User.name, User.full_name))
    )
    if user:
        query = query.where(Claim.user_id == find_user(session, by, user).record.id)
    found = fetch(session, query, paging, Claim.created_at, Claim.id, descending=True)
    return Page(tuple(_view(row[0], row[1], now) for row in found.rows), found.next, found.total)


def get_invitation(session: Session, by: Actor, invitation_id: str, now: float) -> InvitationView:
    """Return one invitation."""
    claim, found = _find(session, by, invitation_id, Permission.SEE)
    return _view(claim, found.record.name, now)


def invite(session: Session, by: Actor, user: str, sender: Sender, days: float, now: float) -> InvitationMade:
    """Invite a user: who redeems it chooses the account's password, so power over the account is needed."""
    found = find_user(session, by, user, Permission.CHANGE)
    must_have_power_over(session, by, found.record.id)
    claim, text = records.create_invitation(session, found.record, sender, days, now)
    record(session, by, Event.USER_INVITED, found.subject, now, "done", invitation=claim.id, days=days)
    return InvitationMade(**msgspec.structs.asdict(_view(claim, found.record.name, now)), text=text)


def revoke_invitation(session: Session, by: Actor, invitation_id: str, now: float) -> InvitationView:
    """Close an invitation that was not used yet. Idempotent."""
    claim, found = _find(session, by, invitation_id, Permission.CHANGE)
    must_have_power_over(session, by, found.record.id)
    if claim.revoked_at is None:
        records.revoke_claim(session, claim.id, now)
        record(session, by, Event.INVITATION_REVOKED, found.subject, now, "done", invitation=claim.id)
    return _view(claim, found.record.name, now)


def _find(session: Session, by: Actor, invitation_id: str, permission: Permission) -> tuple[Claim, UserFound]:
    claim = session.get(Claim, invitation_id)
    if claim is None or claim.user_id is None:
        missing("invitation", invitation_id)
    user = session.get_one(User, claim.user_id)
    found = UserFound(user, session.get_one(Domain, user.domain_id).path)
    by.must(permission, found.domain, f"invitation {invitation_id[:80]}")
    return claim, found


def _view(claim: Claim, user: str, now: float) -> InvitationView:
    assert claim.user_id is not None  # noqa: S101 - an invitation of a user
    return InvitationView(
        id=claim.id,
        user_id=claim.user_id,
        user=user,
        state=records.state_of(claim, now),  # type: ignore[arg-type]  # one of these words
        created_at=claim.created_at,
        expires_at=claim.expires_at,
        used_at=claim.used_at,
    )

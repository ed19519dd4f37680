"""Claims: how a SiteManager comes to its place, also in that of another unit; and those who wait without one."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta
from sqlalchemy import select
from sqlalchemy.orm import Session

from gatelink.identity import fingerprint_text
from gm_server.access.actors import Actor, Permission
from gm_server.appliances import waiting as waiting_records
from gm_server.audit.events import Event
from gm_server.audit.log import Subject, record
from gm_server.database.tables import Appliance, Claim, Domain, WaitingAppliance
from gm_server.enrolment import claims as records
from gm_server.enrolment.claims import Sender
from gm_server.exceptions import Conflict

from .appliances import ApplianceDetail, get_appliance
from .paging import Page, Paging, fetch, matches
from .sight import sight_of
from .subjects import ApplianceFound, find_appliance, find_domain, missing

ClaimState = Literal["open", "used", "revoked", "expired"]
Days = Annotated[float, Meta(gt=0, le=366)]


class ClaimView(msgspec.Struct, frozen=True, kw_only=True):
    """A claim; its secret is known only to whom it was handed."""

    id: str
    appliance_id: str
    appliance: str
    """Its path."""
    state: ClaimState
    created_at: float
    expires_at: float
    used_at: float | None


class ClaimMade(ClaimView, frozen=True, kw_only=True):
    """A claim with its text, which is shown this once."""

    text: str


class WaitingView(msgspec.Struct, frozen=True, kw_only=True):
    """A SiteManager that came without a claim."""

    id: str
    address: str
    software: str
    key: str
    """Fingerprint, to compare with what the SiteManager shows before it is adopted."""
    first_seen_at: float
    last_seen_at: float


def list_claims(session: Session, by: Actor, paging: Paging, now: float, appliance: str = "") -> Page[ClaimView]:
    """Return claims for the appliances that the actor's roles show, newest first; ``appliance``: id or path."""
    query = (
        select(Claim, Domain.path, Appliance.name)
        .join(Appliance, Appliance.id == Claim.appliance_id)
        .join(Domain, Domain.id == Appliance.domain_id)
        .where(sight_of(session, by, now).domains(Domain.path), matches(paging.search, Domain.path, Appliance.name))
    )
    if appliance:
        query = query.where(Claim.appliance_id == find_appliance(session, by, appliance).record.id)
    found = fetch(session, query, paging, Claim.created_at, Claim.id, descending=True)
    return Page(tuple(_view(row[0], f"{row[1]}/{row[2]}", now) for row in found.rows), found.next, found.total)


def get_claim(session: Session, by: Actor, claim_id: str, now: float) -> ClaimView:
    """Return one claim."""
    claim, found = _find(session, by, claim_id, Permission.SEE)
    return _view(claim, found.path, now)


def create_claim(
    session: Session, by: Actor, appliance: str, sender: Sender, days: float, now: float, *, replace: bool = False
) -> ClaimMade:
    """Make a claim for an appliance; raises Conflict for an enrolled one unless another unit is to ``replace`` it.

    The new unit keeps the place, the devices and the grants; the old one's certificate dies when the new one enrols.
    """
    found = find_appliance(session, by, appliance, Permission.CHANGE)
    if found.record.state == "active" and not replace:
        raise Conflict(f"{found.path} is enrolled already: say that another unit is to take its place, if it is")
    claim, text = records.create_claim(session, found.record, sender, days, now)
    record(session, by, Event.CLAIM_MADE, found.subject, now, "done", claim=claim.id, replaces=replace)
    return ClaimMade(**msgspec.structs.asdict(_view(claim, found.path, now)), text=text)


def revoke_claim(session: Session, by: Actor, claim_id: str, now: float) -> ClaimView:
    """Close a claim that was not used yet."""
    claim, found = _find(session, by, claim_id, Permission.CHANGE)
    if claim.revoked_at is None:
        records.revoke_claim(session, claim.id, now)
        record(session, by, Event.CLAIM_REVOKED, found.subject, now, "done", claim=claim.id)
    return _view(claim, found.path, now)


def list_waiting(session: Session, by: Actor, paging: Paging) -> Page[WaitingView]:
    """Return those who came without a claim. They belong to no domain: only who sees the whole server sees them."""
    if not by.may(Permission.SEE, None):
        return Page((), None, 0)
    query = select(WaitingAppliance).where(
        WaitingAppliance.appliance_id.is_(None),
        matches(paging.search, WaitingAppliance.address, WaitingAppliance.software),
    )
    found = fetch(session, query, paging, WaitingAppliance.first_seen_at, WaitingAppliance.id)
    return Page(tuple(_waiting_view(row[0]) for row in found.rows), found.next, found.total)


def adopt(session: Session, by: Actor, waiting_id: str, domain: str, name: str, now: float) -> ApplianceDetail:
    """Make an appliance of one who waits: it gets its certificate when it asks next."""
    waiting = session.get(WaitingAppliance, waiting_id)
    if waiting is None or not by.may(Permission.SEE, None):
        missing("waiting appliance", f"{waiting_id}: nobody waits under this id")
    by.must(Permission.CHANGE, None, "waiting appliance")
    path = find_domain(session, by, domain, Permission.CHANGE).path
    appliance = waiting_records.adopt(session, waiting_id, path, name, now)
    key = fingerprint_text(waiting.key_sha256)
    subject = ApplianceFound(appliance, path).subject
    record(session, by, Event.APPLIANCE_ADOPTED, subject, now, "done", key=key, address=waiting.address)
    return get_appliance(session, by, appliance.id, now)


def turn_away(session: Session, by: Actor, waiting_id: str, now: float) -> None:
    """Take one who waits off the list; it may come and wait again."""
    waiting = session.get(WaitingAppliance, waiting_id)
    if waiting is None or waiting.appliance_id is not None or not by.may(Permission.SEE, None):
        missing("waiting appliance", f"{waiting_id}: nobody waits under this id")
    by.must(Permission.CHANGE, None, "waiting appliance")
    session.delete(waiting)
    session.flush()
    subject = Subject(waiting_id, f"waiting at {waiting.address}")
    record(session, by, Event.APPLIANCE_REMOVED, subject, now, "done", key=fingerprint_text(waiting.key_sha256))


def _find(session: Session, by: Actor, claim_id: str, permission: Permission) -> tuple[Claim, ApplianceFound]:
    claim = session.get(Claim, claim_id)
    if claim is None or claim.appliance_id is None:
        missing("claim", claim_id)
    owner = session.get_one(Appliance, claim.appliance_id)
    found = ApplianceFound(owner, session.get_one(Domain, owner.domain_id).path)
    by.must(permission, found.domain, f"claim {claim_id[:80]}")
    return claim, found


def _view(claim: Claim, path: str, now: float) -> ClaimView:
    assert claim.appliance_id is not None  # noqa: S101 - a claim of an appliance
    return ClaimView(
        id=claim.id,
        appliance_id=claim.appliance_id,
        appliance=path,
        state=records.state_of(claim, now),  # type: ignore[arg-type]  # one of these words
        created_at=claim.created_at,
        expires_at=claim.expires_at,
        used_at=claim.used_at,
    )


def _waiting_view(waiting: WaitingAppliance) -> WaitingView:
    return WaitingView(
        id=waiting.id,
        address=waiting.address,
        software=waiting.software,
        key=fingerprint_text(waiting.key_sha256),
        first_seen_at=waiting.first_seen_at,
        last_seen_at=waiting.last_seen_at,
    )

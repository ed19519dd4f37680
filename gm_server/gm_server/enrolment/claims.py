"""Claims (for an appliance) and invitations (for a user): one-time rights to enrol, as administrators handle them.

The secret leaves the GateManager once, in the text that is handed over; what stays here is the key of the proofs.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence

import msgspec
from sqlalchemy import ColumnElement, select
from sqlalchemy.orm import Session

from gatelink.claims import Claim as ClaimText
from gatelink.claims import Fingerprint, claim_text
from gatelink.exceptions import InputError
from gatelink.proofs import proof_key
from gatelink.wire import SECRET_BYTES
from gm_server.database.tables import Appliance, Claim, User
from gm_server.exceptions import Conflict, NotFound
from gm_server.ids import new_id


class Sender(msgspec.Struct, frozen=True):
    """What a claim's text says of the GateManager."""

    addresses: tuple[str, ...]
    fingerprint: Fingerprint | None


def create_claim(session: Session, appliance: Appliance, sender: Sender, days: float, now: float) -> tuple[Claim, str]:
    """Make a claim for an appliance; return its record and the text to hand over."""
    if appliance.state == "revoked":
        raise Conflict(f"the appliance {appliance.name} is revoked: remove it, or choose another name")
    record, secret = _create(session, days, now, appliance_id=appliance.id)
    text = ClaimText("appliance", record.id, secret, sender.addresses, sender.fingerprint)
    return record, claim_text(text)


def create_invitation(session: Session, user: User, sender: Sender, days: float, now: float) -> tuple[Claim, str]:
    """Make an invitation for a user; return its record and the text to hand over."""
    if user.disabled_at is not None:
        raise Conflict(f"the user {user.name} is disabled: `gm users enable {user.name}` first")
    record, secret = _create(session, days, now, user_id=user.id)
    text = ClaimText("user", record.id, secret, sender.addresses, sender.fingerprint, user.name)
    return record, claim_text(text)


def list_claims(session: Session) -> Sequence[Claim]:
    """Return the claims of appliances, newest first."""
    return _list(session, Claim.appliance_id.is_not(None))


def list_invitations(session: Session) -> Sequence[Claim]:
    """Return the invitations of users, newest first."""
    return _list(session, Claim.user_id.is_not(None))


def revoke_claim(session: Session, claim_id: str, now: float) -> Claim:
    """Close a claim or an invitation that was not used yet."""
    claim = session.get(Claim, claim_id)
    if claim is None:
        raise NotFound(f"there is no claim or invitation {claim_id[:60]}")
    if claim.used_at is not None:
        raise Conflict(f"{claim_id} is used already: revoke what it was used for")
    claim.revoked_at = claim.revoked_at or now
    claim.proof_key = None
    session.flush()
    return claim


def state_of(claim: Claim, now: float) -> str:
    """Return a claim's state in one word."""
    if claim.used_at is not None:
        return "used"
    if claim.revoked_at is not None:
        return "revoked"
    return "expired" if now >= claim.expires_at else "open"


def _create(
    session: Session, days: float, now: float, appliance_id: str | None = None, user_id: str | None = None
) -> tuple[Claim, bytes]:
    if not 0 < days <= 366:
        raise InputError(f"a claim or invitation can be valid up to 366 days, got {days:g}")
    secret = secrets.token_bytes(SECRET_BYTES)
    record = Claim(
        id=new_id("clm"),
        appliance_id=appliance_id,
        user_id=user_id,
        proof_key=proof_key(secret),
        created_at=now,
        expires_at=now + days * 86400,
    )
    session.add(record)
    session.flush()
    return record, secret


def _list(session: Session, condition: ColumnElement[bool]) -> Sequence[Claim]:
    return session.scalars(select(Claim).where(condition).order_by(Claim.created_at.desc(), Claim.id)).all()

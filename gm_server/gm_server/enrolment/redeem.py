"""The transactions of an enrolment: each either stores the certificate and closes the claim, or does neither.

If the answer is lost behind the commit, the same key may present the same claim again and gets the same certificate;
for every other key the claim is closed. Its proof key is wiped at the first login.
"""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from typing import Final

import msgspec
from sqlalchemy import select, update
from sqlalchemy.orm import Session

from gatelink.exceptions import Refused
from gatelink.identity import Identity, certificate_sha256, fingerprint_text, issue
from gm_server.access.actors import Actor
from gm_server.accounts.users import add_certificate
from gm_server.appliances.events import begin_anew
from gm_server.appliances.waiting import ask_for_place
from gm_server.audit.events import Event
from gm_server.audit.log import Subject, record
from gm_server.database.tables import Appliance, Claim, Domain, User, UserCertificate, WaitingAppliance
from gm_server.names import printable

DEVICE_LIFETIME_DAYS: Final = 30 * 365
USER_LIFETIME_DAYS: Final = 10 * 365
"""Certificates are known one by one and revoked here; their dates are not what ends access."""


class Names(msgspec.Struct, frozen=True):
    """What an enrolled party is told."""

    certificate: bytes
    peer_id: str
    name: str
    domain: str


class OpenClaim(msgspec.Struct, frozen=True):
    """What the conversation needs of a claim that the holder of a key may redeem."""

    proof_key: bytes
    user_name: str | None


def find_open(session: Session, claim_id: str, kind: str, key_sha256: bytes, now: float) -> OpenClaim | None:
    """Return the claim if the holder of ``key_sha256`` may redeem it now."""
    claim = session.get(Claim, claim_id)
    if claim is None or claim.proof_key is None or not _may_redeem(claim, kind, key_sha256, now):
        return None
    return OpenClaim(claim.proof_key, session.get_one(User, claim.user_id).name if claim.user_id else None)


def redeem_claim(
    session: Session,
    claim_id: str,
    csr: bytes,
    key_sha256: bytes,
    software: str,
    authority: Identity,
    now: float,
    address: str,
) -> Names:
    """Enrol an appliance; raises Refused if the claim was closed meanwhile, ProtocolError for a bad CSR."""
    claim = _take(session, claim_id, "appliance", key_sha256, now)
    appliance = session.get_one(Appliance, claim.appliance_id)
    if appliance.key_sha256 != key_sha256:
        _give_certificate(session, appliance, csr, key_sha256, software, authority, now)
        _record_appliance(session, appliance, address, now, claim=claim_id)
    return _names_of_appliance(session, appliance)


def redeem_invitation(
    session: Session,
    claim_id: str,
    csr: bytes,
    key_sha256: bytes,
    software: str,
    password_hash: str,
    authority: Identity,
    now: float,
    address: str,
) -> Names:
    """Enrol a user's LinkManager and set the password; raises as ``redeem_claim``."""
    claim = _take(session, claim_id, "user", key_sha256, now)
    user = session.get_one(User, claim.user_id)
    user.password_hash = password_hash
    query = select(UserCertificate).where(UserCertificate.key_sha256 == key_sha256)
    known = session.scalars(query).one_or_none()
    if known is not None and known.user_id != user.id:
        raise Refused("claim", "this key belongs to another user already: begin again with a new key")
    if known is None:
        certificate = _issue(csr, authority, user.name, now, USER_LIFETIME_DAYS)
        known = add_certificate(session, user.id, certificate, "invitation", printable(software), now)
        path = session.get_one(Domain, user.domain_id).path
        by = Actor(user.id, user.name, (), "lm", address)
        key = fingerprint_text(key_sha256)
        record(session, by, Event.INVITATION_REDEEMED, Subject(user.id, user.name, path), now, key=key, claim=claim_id)
    domain = session.get_one(Domain, user.domain_id)
    session.flush()
    return Names(known.certificate, user.id, user.name, domain.path)


def redeem_place(
    session: Session,
    csr: bytes,
    key_sha256: bytes,
    software: str,
    address: str,
    authority: Identity,
    now: float,
    limit: int,
) -> Names | str:
    """Enrol an appliance that somebody adopted; return the id of its place in the list if nobody did."""
    known = session.scalars(select(Appliance).where(Appliance.key_sha256 == key_sha256)).one_or_none()
    if known is not None:
        if known.state != "active":
            raise Refused("revoked", "this appliance was revoked")
        return _names_of_appliance(session, known)
    waiting = ask_for_place(session, key_sha256, software, address, now, limit)
    if waiting.appliance_id is None:
        return waiting.id
    appliance = session.get_one(Appliance, waiting.appliance_id)
    _give_certificate(session, appliance, csr, key_sha256, software, authority, now)
    _record_appliance(session, appliance, address, now, claim="")
    session.delete(session.get_one(WaitingAppliance, waiting.id))
    session.flush()
    return _names_of_appliance(session, appliance)


def wipe_used_claims(session: Session, appliance_ids: Sequence[str]) -> None:
    """Forget the proof keys by which appliances enrolled: they have logged in, so the answer was not lost."""
    wipe = update(Claim).where(
        Claim.appliance_id.in_(appliance_ids), Claim.used_at.is_not(None), Claim.proof_key.is_not(None)
    )
    session.execute(wipe.values(proof_key=None))


def _may_redeem(claim: Claim, kind: str, key_sha256: bytes, now: float) -> bool:
    of_kind = (claim.appliance_id is not None) == (kind == "appliance")
    by_key = claim.used_key_sha256 is None or claim.used_key_sha256 == key_sha256
    return of_kind and by_key and claim.revoked_at is None and now < claim.expires_at


def _take(session: Session, claim_id: str, kind: str, key_sha256: bytes, now: float) -> Claim:
    claim = session.get(Claim, claim_id)
    if claim is None or not _may_redeem(claim, kind, key_sha256, now):
        raise Refused("claim", "the claim is used, expired or revoked: ask for a new one")
    claim.used_at = claim.used_at or now
    claim.used_key_sha256 = key_sha256
    session.flush()
    others = update(Claim).where(
        Claim.used_at.is_(None),
        Claim.revoked_at.is_(None),
        Claim.appliance_id == claim.appliance_id if kind == "appliance" else Claim.user_id == claim.user_id,
    )
    session.execute(others.values(revoked_at=now, proof_key=None))
    return claim


def _give_certificate(
    session: Session,
    appliance: Appliance,
    csr: bytes,
    key_sha256: bytes,
    software: str,
    authority: Identity,
    now: float,
) -> None:
    if session.scalar(select(Appliance.id).where(Appliance.key_sha256 == key_sha256)) is not None:
        raise Refused("claim", "this key belongs to another appliance already: begin again with a new key")
    certificate = _issue(csr, authority, appliance.id, now, DEVICE_LIFETIME_DAYS)
    begin_anew(session, appliance)
    appliance.certificate = certificate
    appliance.certificate_sha256 = certificate_sha256(certificate)
    appliance.key_sha256 = key_sha256
    appliance.state = "active"
    appliance.software = printable(software)
    appliance.enrolled_at = now
    session.flush()


def _record_appliance(session: Session, appliance: Appliance, address: str, now: float, claim: str) -> None:
    """Who enrolled is the claim's holder; without a claim, somebody adopted the unit before."""
    assert appliance.key_sha256 is not None  # noqa: S101 - it was just given
    path = session.get_one(Domain, appliance.domain_id).path
    subject = Subject(appliance.id, f"{path}/{appliance.name}", path)
    by = Actor(appliance.id, appliance.name, (), "sm", address)
    key = fingerprint_text(appliance.key_sha256)
    record(session, by, Event.APPLIANCE_ENROLLED, subject, now, claim=claim, key=key)


def _issue(csr: bytes, authority: Identity, name: str, now: float, lifetime_days: int) -> bytes:
    return issue(csr, authority, name, datetime.datetime.fromtimestamp(now, datetime.UTC), lifetime_days)


def _names_of_appliance(session: Session, appliance: Appliance) -> Names:
    assert appliance.certificate is not None  # noqa: S101 - the schema's rule for active appliances
    domain = session.get_one(Domain, appliance.domain_id)
    return Names(appliance.certificate, appliance.id, appliance.name, domain.path)

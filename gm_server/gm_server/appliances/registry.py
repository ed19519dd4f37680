"""Appliances: named by their path (``domain/.../name``) or id."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec
from sqlalchemy import select, update
from sqlalchemy.orm import Session

from gm_server.database.tables import Appliance, Claim, Domain
from gm_server.exceptions import Conflict, NotFound
from gm_server.ids import new_id
from gm_server.names import check_name, split_path

from .domains import get_domain


class Presence(msgspec.Struct, frozen=True):
    """What is remembered of an appliance's last connection."""

    appliance_id: str
    seen_at: float
    address: str
    port: int
    software: str
    run_id: str


class ApplianceParty(msgspec.Struct, frozen=True):
    """Whose certificate it is that somebody logs in with."""

    appliance_id: str
    name: str
    domain: str


def appliance_of(session: Session, digest: bytes) -> ApplianceParty | None:
    """Return the active appliance with exactly this certificate (SHA-256)."""
    row = session.execute(
        select(Appliance.id, Appliance.name, Domain.path)
        .join(Domain, Domain.id == Appliance.domain_id)
        .where(Appliance.certificate_sha256 == digest, Appliance.state == "active")
    ).one_or_none()
    return None if row is None else ApplianceParty(*row)


def active_certificates(session: Session) -> dict[str, bytes]:
    """Return the certificate (SHA-256) of every active appliance, by id."""
    query = select(Appliance.id, Appliance.certificate_sha256).where(Appliance.state == "active")
    return {appliance_id: digest for appliance_id, digest in session.execute(query) if digest is not None}


def add_appliance(session: Session, domain_path: str, name: str, now: float) -> Appliance:
    """Make an appliance that is expected to enrol."""
    domain = get_domain(session, domain_path)
    name = check_name(name, "an appliance")
    _check_is_free(session, domain, name)
    appliance = Appliance(id=new_id("sm"), domain_id=domain.id, name=name, state="expected", created_at=now)
    session.add(appliance)
    session.flush()
    return appliance


def get_appliance(session: Session, reference: str) -> Appliance:
    """Return an appliance by path or id; raises NotFound."""
    appliance = session.get(Appliance, reference) if "/" not in reference else None
    if appliance is None and "/" in reference:
        domain_path, name = split_path(reference, "an appliance")
        query = select(Appliance).join(Domain, Domain.id == Appliance.domain_id)
        appliance = session.scalars(query.where(Domain.path == domain_path, Appliance.name == name)).one_or_none()
    if appliance is None:
        raise NotFound(f"there is no appliance {reference}; `gm appliances list` shows all")
    return appliance


def list_appliances(session: Session) -> Sequence[tuple[Appliance, str]]:
    """Return all appliances with their domains' paths, by path."""
    query = select(Appliance, Domain.path).join(Domain, Domain.id == Appliance.domain_id)
    return [(appliance, path) for appliance, path in session.execute(query.order_by(Domain.path, Appliance.name))]


def path_of(session: Session, appliance: Appliance) -> str:
    """Return an appliance's whole path."""
    return f"{session.get_one(Domain, appliance.domain_id).path}/{appliance.name}"


def rename_appliance(session: Session, reference: str, name: str, domain_path: str | None) -> Appliance:
    """Give an appliance another name, or another domain."""
    appliance = get_appliance(session, reference)
    domain = get_domain(session, domain_path) if domain_path else session.get_one(Domain, appliance.domain_id)
    name = check_name(name, "an appliance")
    if (domain.id, name) != (appliance.domain_id, appliance.name):
        _check_is_free(session, domain, name)
    appliance.domain_id = domain.id
    appliance.name = name
    session.flush()
    return appliance


def revoke_appliance(session: Session, reference: str, now: float) -> Appliance:
    """Never accept an appliance's certificate again, nor a claim for it that is still out."""
    appliance = get_appliance(session, reference)
    appliance.state = "revoked"
    close_claims = update(Claim).where(Claim.appliance_id == appliance.id, Claim.revoked_at.is_(None))
    session.execute(close_claims.values(revoked_at=now, proof_key=None))
    session.flush()
    return appliance


def remove_appliance(session: Session, reference: str) -> None:
    """Remove an appliance with its devices and grants."""
    session.delete(get_appliance(session, reference))
    session.flush()


def note_presence(session: Session, presences: Iterable[Presence]) -> None:
    """Remember when and how appliances were connected."""
    for presence in presences:
        session.execute(
            update(Appliance)
            .where(Appliance.id == presence.appliance_id)
            .values(
                last_seen_at=presence.seen_at,
                last_address=presence.address,
                last_port=presence.port,
                software=presence.software,
                run_id=presence.run_id,
            )
        )


def _check_is_free(session: Session, domain: Domain, name: str) -> None:
    query = select(Appliance.id).where(Appliance.domain_id == domain.id, Appliance.name == name)
    if session.scalar(query) is not None:
        raise Conflict(f"the domain {domain.path} has an appliance {name} already")

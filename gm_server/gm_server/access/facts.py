"""What the decisions read of the records: one consistent moment, all that is needed at once."""

from __future__ import annotations

from collections.abc import Collection

import msgspec
from sqlalchemy import select
from sqlalchemy.orm import Session

from gm_server.appliances.checks import states_by_appliance
from gm_server.appliances.devices import devices_by_appliance
from gm_server.database import tables
from gm_server.database.tables import Domain, GrantService, User, UserCertificate

from .rights import Appliance, Grant


class Facts(msgspec.Struct, frozen=True):
    """Users' grants and appliances; whoever is missing may do nothing."""

    grants: dict[str, tuple[Grant, ...]]
    """By user id; of every user who is not disabled."""
    user_certificates: frozenset[bytes]
    """SHA-256 of every certificate of those users that is not revoked."""
    appliances: dict[str, Appliance]
    """By id; each that is neither removed nor revoked."""


def load_facts(session: Session, user_ids: Collection[str], appliance_ids: Collection[str] | None = None) -> Facts:
    """Return the facts about these users and appliances (None: all of them)."""
    users = list(session.scalars(select(User.id).where(User.id.in_(user_ids), User.disabled_at.is_(None))))
    digests = select(UserCertificate.certificate_sha256).where(
        UserCertificate.user_id.in_(users), UserCertificate.revoked_at.is_(None)
    )
    return Facts(
        grants=_load_grants(session, users),
        user_certificates=frozenset(session.scalars(digests)),
        appliances=_load_appliances(session, appliance_ids),
    )


def _load_grants(session: Session, user_ids: Collection[str]) -> dict[str, tuple[Grant, ...]]:
    grant = tables.Grant
    services: dict[str, set[str]] = {}
    of_users = select(GrantService).join(grant, grant.id == GrantService.grant_id)
    for service in session.scalars(of_users.where(grant.user_id.in_(user_ids))):
        services.setdefault(service.grant_id, set()).add(service.name)
    query = (
        select(grant, Domain.path)
        .outerjoin(Domain, Domain.id == grant.domain_id)
        .where(grant.user_id.in_(user_ids), grant.revoked_at.is_(None))
        .order_by(grant.created_at, grant.id)
    )
    found: dict[str, list[Grant]] = {user_id: [] for user_id in user_ids}
    for row, path in session.execute(query):
        found[row.user_id].append(
            Grant(
                domain=path,
                appliance_id=row.appliance_id,
                device_id=row.device_id,
                services=None if row.all_services else frozenset(services.get(row.id, ())),
                valid_from=row.valid_from,
                valid_until=row.valid_until,
                bridged=row.bridged,
            )
        )
    return {user_id: tuple(grants) for user_id, grants in found.items()}


def _load_appliances(session: Session, appliance_ids: Collection[str] | None) -> dict[str, Appliance]:
    row = tables.Appliance
    query = select(row.id, Domain.path, row.name, row.certificate).join(Domain, Domain.id == row.domain_id)
    query = query.where(row.state != "revoked")
    if appliance_ids is not None:
        query = query.where(row.id.in_(appliance_ids))
    devices = devices_by_appliance(session, None if appliance_ids is None else list(appliance_ids))
    rows = session.execute(query).all()
    states = states_by_appliance(session, [row.id for row in rows])
    return {
        appliance_id: Appliance(
            appliance_id, path, name, certificate, devices.get(appliance_id, ()), states.get(appliance_id, ())
        )
        for appliance_id, path, name, certificate in rows
    }

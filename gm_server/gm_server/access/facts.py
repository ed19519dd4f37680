"""What the decisions read of the records: one consistent moment, all that is needed at once."""

from __future__ import annotations

import logging
import math
from collections.abc import Collection
from typing import Final

import msgspec
from sqlalchemy import or_, select
from sqlalchemy.orm import Session

from gatelink.exceptions import InputError
from gatelink.messages import DeviceAccess
from gm_server.appliances.checks import states_by_appliance
from gm_server.appliances.devices import devices_by_appliance
from gm_server.database import tables
from gm_server.database.tables import Device, Domain, GrantService, GroupMember, User, UserCertificate

from .actors import Role
from .relays import Relay, relay_rights
from .rights import Appliance, Grant, Rights, decide, requestable
from .roles import roles_of
from .weeks import parse_weekly

_log: Final = logging.getLogger("gm.access")


class Facts(msgspec.Struct, frozen=True):
    """Users' grants and appliances; whoever is missing may do nothing."""

    grants: dict[str, tuple[Grant, ...]]
    """By user id; of every user who is not disabled."""
    user_certificates: dict[bytes, float]
    """Until when (infinite: for ever) each certificate of those users that is not revoked is good, by its SHA-256."""
    appliances: dict[str, Appliance]
    """By id; each that is neither removed nor revoked."""
    roles: dict[str, tuple[Role, ...]] = {}
    """Of those users, by their groups too."""
    relays: dict[str, tuple[Relay, ...]] = {}
    """Of those users; each that is not turned off."""

    def knows(self, certificate_sha256: bytes, now: float) -> bool:
        """Whether it is a good certificate of one of those users."""
        return now < self.user_certificates.get(certificate_sha256, 0.0)

    def is_over(self, certificate_sha256: bytes, now: float) -> bool:
        """Whether it was a good one of those users until its time was over."""
        return now >= self.user_certificates.get(certificate_sha256, math.inf)

    def rights(
        self, user_id: str, appliance: Appliance, now: float, device_ids: Collection[str] | None = None
    ) -> Rights:
        """Return what a user may reach behind an appliance."""
        return decide(self.grants.get(user_id, ()), appliance, now, device_ids, self.roles.get(user_id, ()))

    def relay_rights(self, user_id: str, appliance: Appliance, now: float) -> Rights:
        """Return what a session for a user's permanent relays may do behind an appliance."""
        grants, roles = self.grants.get(user_id, ()), self.roles.get(user_id, ())
        return relay_rights(grants, appliance, self.relays.get(user_id, ()), now, roles)

    def requestable(self, user_id: str, appliance: Appliance, now: float) -> tuple[DeviceAccess, ...]:
        """Return what a user may ask for behind an appliance."""
        return requestable(self.grants.get(user_id, ()), appliance, now, self.roles.get(user_id, ()))


def load_facts(session: Session, user_ids: Collection[str], appliance_ids: Collection[str] | None = None) -> Facts:
    """Return the facts about these users and appliances (None: all of them)."""
    users = list(session.scalars(select(User.id).where(User.id.in_(user_ids), User.disabled_at.is_(None))))
    certificates = select(UserCertificate.certificate_sha256, UserCertificate.expires_at).where(
        UserCertificate.user_id.in_(users), UserCertificate.revoked_at.is_(None)
    )
    return Facts(
        grants=_load_grants(session, users),
        user_certificates={
            digest: math.inf if expires_at is None else expires_at
            for digest, expires_at in session.execute(certificates)
        },
        appliances=_load_appliances(session, appliance_ids),
        roles=roles_of(session, users),
        relays=load_relays(session, users),
    )


def load_relays(session: Session, user_ids: Collection[str]) -> dict[str, tuple[Relay, ...]]:
    """Return the permanent relays of users that are not turned off, by user."""
    row = tables.Relay
    query = select(row, Device.appliance_id).join(Device, Device.id == row.device_id).order_by(row.name)
    found: dict[str, list[Relay]] = {}
    for relay, appliance_id in session.execute(query.where(row.user_id.in_(user_ids), row.enabled)):
        found.setdefault(relay.user_id, []).append(
            Relay(
                relay.id,
                relay.name,
                relay.user_id,
                appliance_id,
                relay.device_id,
                relay.direction,
                relay.port,
                relay.service,
                relay.target_port,
            )
        )
    return {user_id: tuple(relays) for user_id, relays in found.items()}


def _load_grants(session: Session, user_ids: Collection[str]) -> dict[str, tuple[Grant, ...]]:
    grant = tables.Grant
    groups: dict[str, list[str]] = {}
    for member in session.scalars(select(GroupMember).where(GroupMember.user_id.in_(user_ids))):
        groups.setdefault(member.group_id, []).append(member.user_id)
    held = or_(grant.user_id.in_(user_ids), grant.group_id.in_(groups))
    services: dict[str, set[str]] = {}
    named = select(GrantService).join(grant, grant.id == GrantService.grant_id).where(grant.revoked_at.is_(None))
    for service in session.scalars(named.where(held)):
        services.setdefault(service.grant_id, set()).add(service.name)
    query = (
        select(grant, Domain.path)
        .outerjoin(Domain, Domain.id == grant.domain_id)
        .where(held, grant.revoked_at.is_(None))
        .order_by(grant.created_at, grant.id)
    )
    found: dict[str, list[Grant]] = {user_id: [] for user_id in user_ids}
    for row, path in session.execute(query):
        read = _to_grant(row, path, frozenset(services.get(row.id, ())))
        holders = groups[row.group_id] if row.group_id is not None else [row.user_id]
        if read is not None:
            for user_id in holders:
                if user_id in found:
                    found[user_id].append(read)
    return {user_id: tuple(grants) for user_id, grants in found.items()}


def _to_grant(row: tables.Grant, path: str | None, services: frozenset[str]) -> Grant | None:
    """Return a grant as it is decided by; None if it cannot be read: then it opens nothing."""
    try:
        weekly = parse_weekly(row.weekly)
    except InputError as error:
        _log.error("the grant %s counts for nothing: %s", row.id, error)
        return None
    return Grant(
        domain=path,
        appliance_id=row.appliance_id,
        device_id=row.device_id,
        services=None if row.all_services else services,
        valid_from=row.valid_from,
        valid_until=row.valid_until,
        bridged=row.bridged,
        weekly=weekly,
        needs_reason=row.needs_reason,
        needs_approval=row.needs_approval,
        is_approval=row.request_id is not None,
    )


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

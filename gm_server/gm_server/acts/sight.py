"""What an actor sees: by his roles whole domains; by the grants that he or a group of his has, what those are for.

A grant shows it from the day it is given until it is over or ended: also before it begins, outside its weekly hours,
and while it only allows to ask.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
from sqlalchemy import ColumnElement, false, or_, select, true
from sqlalchemy.orm import Session
from sqlalchemy.orm.attributes import InstrumentedAttribute

from gm_server.access.actors import Actor, Permission, is_within
from gm_server.database.tables import Appliance, Device, Domain, Grant, GrantService, GroupMember, RoleRecord


class Granted(msgspec.Struct, frozen=True):
    """A grant of the actor's; exactly one target is set."""

    grant_id: str
    domain: str | None
    appliance_id: str | None
    device_id: str | None
    services: frozenset[str] | None


class Sight(msgspec.Struct, frozen=True):
    """What somebody sees, as conditions for queries and as answers."""

    by: Actor
    granted: tuple[Granted, ...]

    def domains(self, path: ColumnElement[str] | InstrumentedAttribute[str]) -> ColumnElement[bool]:
        """Domains that his roles show him."""
        return within(path, self.by.seen_domains)

    def appliances(self) -> ColumnElement[bool]:
        """Appliances (joined with their Domain) that roles or grants show him."""
        if self.by.seen_domains is None:
            return true()
        domains = [grant.domain for grant in self.granted if grant.domain is not None]
        appliances = [grant.appliance_id for grant in self.granted if grant.appliance_id is not None]
        devices = [grant.device_id for grant in self.granted if grant.device_id is not None]
        conditions = [self.domains(Domain.path), within(Domain.path, domains), Appliance.id.in_(appliances)]
        if devices:
            conditions.append(Appliance.id.in_(select(Device.appliance_id).where(Device.id.in_(devices))))
        return or_(*conditions)

    def devices(self) -> ColumnElement[bool]:
        """Devices (joined with Appliance and Domain) that roles or grants show him."""
        if self.by.seen_domains is None:
            return true()
        domains = [grant.domain for grant in self.granted if grant.domain is not None]
        appliances = [grant.appliance_id for grant in self.granted if grant.appliance_id is not None]
        devices = [grant.device_id for grant in self.granted if grant.device_id is not None]
        return or_(
            self.domains(Domain.path),
            within(Domain.path, domains),
            Appliance.id.in_(appliances),
            Device.id.in_(devices),
        )

    def is_whole(self, domain: str) -> bool:
        """Whether a role shows him all that lies in a domain, not only what grants name."""
        return self.by.may(Permission.SEE, domain)

    def services(self, domain: str, appliance_id: str, device_id: str) -> frozenset[str] | None:
        """Names of a device's services that grants show him; None: all."""
        names: set[str] = set()
        for grant in self.granted:
            covers = (
                (grant.domain is not None and is_within(domain, grant.domain))
                or grant.appliance_id == appliance_id
                or grant.device_id == device_id
            )
            if covers and grant.services is None:
                return None
            if covers:
                names |= grant.services or frozenset()
        return frozenset(names)


def sight_of(session: Session, by: Actor, now: float) -> Sight:
    """Return what an actor sees at ``now``."""
    if not by.user_id or not by.may_see_himself or by.seen_domains is None:
        return Sight(by, ())
    query = (
        select(Grant.id, Domain.path, Grant.appliance_id, Grant.device_id, Grant.all_services)
        .outerjoin(Domain, Domain.id == Grant.domain_id)
        .where(
            held_by(by.user_id),
            Grant.revoked_at.is_(None),
            or_(Grant.valid_until.is_(None), Grant.valid_until > now),
        )
    )
    rows = session.execute(query).all()
    services: dict[str, set[str]] = {}
    limited = [row.id for row in rows if not row.all_services]
    for service in session.scalars(select(GrantService).where(GrantService.grant_id.in_(limited))):
        services.setdefault(service.grant_id, set()).add(service.name)
    return Sight(
        by,
        tuple(
            Granted(
                row.id,
                row.path,
                row.appliance_id,
                row.device_id,
                None if row.all_services else frozenset(services.get(row.id, ())),
            )
            for row in rows
        ),
    )


def held_by(user_id: str) -> ColumnElement[bool]:
    """Grants of a user or of his groups."""
    groups = select(GroupMember.group_id).where(GroupMember.user_id == user_id)
    return or_(Grant.user_id == user_id, Grant.group_id.in_(groups))


def within(path: ColumnElement[str] | InstrumentedAttribute[str], domains: Sequence[str] | None) -> ColumnElement[bool]:
    """The path is one of ``domains`` or lies below one; None: any path."""
    if domains is None:
        return true()
    if not domains:
        return false()
    return or_(*(or_(path == domain, path.startswith(domain + "/", autoescape=True)) for domain in domains))


def held_role_by(user_id: str) -> ColumnElement[bool]:
    """Roles of a user and of his groups."""
    groups = select(GroupMember.group_id).where(GroupMember.user_id == user_id)
    return or_(RoleRecord.user_id == user_id, RoleRecord.group_id.in_(groups))

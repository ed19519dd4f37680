"""Finds what an act is about, by id or by the name that people use, if the actor may do to it what he wants.

What he may not see is answered in the very words of what does not exist.
"""

from __future__ import annotations

from typing import NoReturn

import msgspec
from sqlalchemy import and_, select
from sqlalchemy.orm import Session

from gm_server.access.actors import Actor, Permission
from gm_server.appliances.registry import path_of
from gm_server.audit.log import Subject
from gm_server.database.tables import Appliance, Device, Domain, Group, User
from gm_server.exceptions import NotFound
from gm_server.names import printable


class ApplianceFound(msgspec.Struct, frozen=True):
    """An appliance and where it is."""

    record: Appliance
    domain: str

    @property
    def path(self) -> str:
        """Its whole path."""
        return f"{self.domain}/{self.record.name}"

    @property
    def subject(self) -> Subject:
        """As the audit log names it."""
        return Subject(self.record.id, self.path, self.domain)


class DeviceFound(msgspec.Struct, frozen=True):
    """A device and where it is."""

    record: Device
    appliance: ApplianceFound

    @property
    def path(self) -> str:
        """Its whole path."""
        return f"{self.appliance.path}/{self.record.name}"

    @property
    def subject(self) -> Subject:
        """As the audit log names it."""
        return Subject(self.record.id, self.path, self.appliance.domain)


class UserFound(msgspec.Struct, frozen=True):
    """A user and the domain that he belongs to."""

    record: User
    domain: str

    @property
    def subject(self) -> Subject:
        """As the audit log names him."""
        return Subject(self.record.id, self.record.name, self.domain)


class GroupFound(msgspec.Struct, frozen=True):
    """A group and the domain that it belongs to."""

    record: Group
    domain: str

    @property
    def path(self) -> str:
        """Its whole path."""
        return f"{self.domain}/{self.record.name}"

    @property
    def subject(self) -> Subject:
        """As the audit log names it."""
        return Subject(self.record.id, self.path, self.domain)


def find_domain(session: Session, by: Actor, reference: str, permission: Permission = Permission.SEE) -> Domain:
    """Return a domain by id or path; raises NotFound, Forbidden."""
    domain = session.get(Domain, reference)
    if domain is None:
        domain = session.scalars(select(Domain).where(Domain.path == reference.strip("/"))).one_or_none()
    if domain is None:
        missing("domain", reference)
    by.must(permission, domain.path, _named("domain", reference))
    return domain


def find_appliance(
    session: Session, by: Actor, reference: str, permission: Permission = Permission.SEE
) -> ApplianceFound:
    """Return an appliance by id or path; raises NotFound, Forbidden."""
    found = _appliance(session, reference)
    if found is None:
        missing("appliance", reference)
    by.must(permission, found.domain, _named("appliance", reference))
    return found


def find_device(session: Session, by: Actor, reference: str, permission: Permission = Permission.SEE) -> DeviceFound:
    """Return a device by id or path; raises NotFound, Forbidden."""
    device = session.get(Device, reference) if "/" not in reference else None
    if device is None and "/" in reference:
        appliance_reference, _, name = reference.strip("/").rpartition("/")
        appliance = _appliance(session, appliance_reference)
        if appliance is not None:
            query = select(Device).where(Device.appliance_id == appliance.record.id, Device.name == name)
            device = session.scalars(query).one_or_none()
    if device is None:
        missing("device", reference)
    owner = session.get_one(Appliance, device.appliance_id)
    found = DeviceFound(device, ApplianceFound(owner, session.get_one(Domain, owner.domain_id).path))
    by.must(permission, found.appliance.domain, _named("device", reference))
    return found


def find_user(session: Session, by: Actor, reference: str, permission: Permission = Permission.SEE) -> UserFound:
    """Return a user by id or name; raises NotFound, Forbidden. Everybody sees himself."""
    user = session.get(User, reference) or session.scalars(select(User).where(User.name == reference)).one_or_none()
    if user is None:
        missing("user", reference)
    domain = session.get_one(Domain, user.domain_id).path
    if not (by.user_id == user.id and permission is Permission.SEE and by.may_see_himself):
        by.must(permission, domain, _named("user", reference))
    return UserFound(user, domain)


def find_group(session: Session, by: Actor, reference: str, permission: Permission = Permission.SEE) -> GroupFound:
    """Return a group by id or path (``domain/.../group``); raises NotFound, Forbidden."""
    query = select(Group, Domain.path).join(Domain, Domain.id == Group.domain_id)
    domain_path, slash, name = reference.strip("/").rpartition("/")
    named = and_(Domain.path == domain_path, Group.name == name) if slash else Group.id == reference
    row = session.execute(query.where(named)).one_or_none()
    if row is None:
        missing("group", reference)
    by.must(permission, row.path, _named("group", reference))
    return GroupFound(row.Group, row.path)


def missing(kind: str, reference: str) -> NoReturn:
    """Raise NotFound in the words that ``Actor.must`` has for what may not be seen."""
    raise NotFound(f"there is no {_named(kind, reference)}")


def domain_subject(domain: Domain) -> Subject:
    """Return a domain as the audit log names it."""
    return Subject(domain.id, domain.path, domain.path)


def _named(kind: str, reference: str) -> str:
    return f"{kind} {printable(reference[:80])}"


def _appliance(session: Session, reference: str) -> ApplianceFound | None:
    if "/" not in reference:
        appliance = session.get(Appliance, reference)
        if appliance is None:
            return None
        return ApplianceFound(appliance, path_of(session, appliance).rpartition("/")[0])
    domain_path, _, name = reference.strip("/").rpartition("/")
    query = select(Appliance, Domain.path).join(Domain, Domain.id == Appliance.domain_id)
    row = session.execute(query.where(Domain.path == domain_path, Appliance.name == name)).one_or_none()
    return None if row is None else ApplianceFound(row.Appliance, row.path)

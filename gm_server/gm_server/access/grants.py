"""Grants as administrators handle them: made, listed, ended."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
from sqlalchemy import select
from sqlalchemy.orm import Session

from gatelink.exceptions import InputError
from gm_server.accounts.users import get_user
from gm_server.appliances.devices import get_device
from gm_server.appliances.domains import get_domain
from gm_server.appliances.registry import get_appliance, path_of
from gm_server.database.tables import Appliance, Device, Domain, Grant, GrantService, Service, User
from gm_server.exceptions import NotFound
from gm_server.ids import new_id
from gm_server.names import check_text


class Target(msgspec.Struct, frozen=True):
    """What a grant is for; exactly one is set, each by its path."""

    domain: str | None = None
    appliance: str | None = None
    device: str | None = None


class GrantRow(msgspec.Struct, frozen=True):
    """A grant as people read it."""

    grant_id: str
    user: str
    target: str
    services: tuple[str, ...] | None
    valid_from: float | None
    valid_until: float | None
    revoked_at: float | None
    reason: str

    def state(self, now: float) -> str:
        """Return its state in one word."""
        if self.revoked_at is not None:
            return "ended"
        if self.valid_until is not None and now >= self.valid_until:
            return "over"
        return "coming" if self.valid_from is not None and now < self.valid_from else "valid"


def add_grant(
    session: Session,
    user_name: str,
    target: Target,
    services: Sequence[str],
    valid_from: float | None,
    valid_until: float | None,
    reason: str,
    now: float,
) -> Grant:
    """Let a user reach a target; no ``services`` opens all of them, also those added later."""
    user = get_user(session, user_name)
    if sum(part is not None for part in (target.domain, target.appliance, target.device)) != 1:
        raise InputError("a grant is for one of: a domain, an appliance, a device")
    if valid_until is not None and valid_until <= max(now, valid_from or now):
        raise InputError("the grant would be over before it begins")
    grant = Grant(
        id=new_id("grt"),
        user_id=user.id,
        domain_id=get_domain(session, target.domain).id if target.domain is not None else None,
        appliance_id=get_appliance(session, target.appliance).id if target.appliance is not None else None,
        device_id=get_device(session, target.device).id if target.device is not None else None,
        all_services=not services,
        reason=check_text(reason, "the reason"),
        created_at=now,
        valid_from=valid_from,
        valid_until=valid_until,
    )
    session.add(grant)
    session.flush()
    for name in dict.fromkeys(services):
        _check_service(session, grant, name)
        session.add(GrantService(grant_id=grant.id, name=name))
    session.flush()
    return grant


def list_grants(session: Session) -> Sequence[GrantRow]:
    """Return all grants, newest first."""
    names: dict[str, list[str]] = {}
    for service in session.scalars(select(GrantService).order_by(GrantService.name)):
        names.setdefault(service.grant_id, []).append(service.name)
    query = select(Grant, User.name).join(User, User.id == Grant.user_id).order_by(Grant.created_at.desc(), Grant.id)
    return [
        GrantRow(
            grant_id=grant.id,
            user=user_name,
            target=_describe_target(session, grant),
            services=None if grant.all_services else tuple(names.get(grant.id, ())),
            valid_from=grant.valid_from,
            valid_until=grant.valid_until,
            revoked_at=grant.revoked_at,
            reason=grant.reason,
        )
        for grant, user_name in session.execute(query)
    ]


def end_grant(session: Session, grant_id: str, now: float) -> Grant:
    """End a grant now; sessions that need it end with it."""
    grant = session.get(Grant, grant_id)
    if grant is None:
        raise NotFound(f"there is no grant {grant_id[:60]}; `gm grants list` shows all")
    grant.revoked_at = grant.revoked_at or now
    session.flush()
    return grant


def _describe_target(session: Session, grant: Grant) -> str:
    if grant.domain_id is not None:
        return f"domain {session.get_one(Domain, grant.domain_id).path}"
    if grant.appliance_id is not None:
        return f"appliance {path_of(session, session.get_one(Appliance, grant.appliance_id))}"
    device = session.get_one(Device, grant.device_id)
    return f"device {path_of(session, session.get_one(Appliance, device.appliance_id))}/{device.name}"


def _check_service(session: Session, grant: Grant, name: str) -> None:
    """A name that no device of the target has is a slip of the pen."""
    query = select(Service.id).join(Device, Device.id == Service.device_id).where(Service.name == name)
    if grant.device_id is not None:
        query = query.where(Device.id == grant.device_id)
    elif grant.appliance_id is not None:
        query = query.where(Device.appliance_id == grant.appliance_id)
    else:
        path = session.get_one(Domain, grant.domain_id).path
        query = query.join(Appliance, Appliance.id == Device.appliance_id)
        query = query.join(Domain, Domain.id == Appliance.domain_id)
        below = Domain.path.startswith(path + "/", autoescape=True)
        query = query.where((Domain.path == path) | below)
    if session.scalar(query.limit(1)) is None:
        raise NotFound(f"no device there has a service {name[:60]}; `gm services list` shows which they have")

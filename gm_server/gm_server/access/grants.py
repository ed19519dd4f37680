"""Grants as records: made, changed, ended. Who may do so is decided in ``acts.grants``."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import msgspec
from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from gatelink.exceptions import InputError
from gm_server.accounts.users import get_user
from gm_server.appliances.devices import get_device
from gm_server.appliances.domains import get_domain
from gm_server.appliances.registry import get_appliance
from gm_server.database.tables import Appliance, Device, Domain, Grant, GrantService, Service
from gm_server.exceptions import Conflict, NotFound
from gm_server.ids import new_id
from gm_server.names import check_text

from .relays import PUSH_SERVICE
from .weeks import parse_weekly, store_weekly


class Target(msgspec.Struct, frozen=True):
    """What a grant is for; exactly one is set, each by its path or id."""

    domain: str | None = None
    appliance: str | None = None
    device: str | None = None


class Holder(msgspec.Struct, frozen=True):
    """Who has a grant; exactly one is set, each an id."""

    user_id: str | None = None
    group_id: str | None = None


class Place(msgspec.Struct, frozen=True):
    """What a grant is for; exactly one is set, each an id."""

    domain_id: str | None = None
    appliance_id: str | None = None
    device_id: str | None = None


class Terms(msgspec.Struct, frozen=True, kw_only=True):
    """On which terms."""

    services: tuple[str, ...] | None = None
    """Names; None: all, also those that are added later."""
    valid_from: float | None = None
    valid_until: float | None = None
    weekly: str = ""
    """JSON (``access.weeks``); empty: always."""
    bridged: bool = False
    needs_reason: bool = False
    needs_approval: bool = False
    reason: str = ""


def make_grant(
    session: Session,
    holder: Holder,
    place: Place,
    terms: Terms,
    now: float,
    created_by: str = "",
    request_id: str | None = None,
) -> Grant:
    """Let a user or a group reach a device, an appliance's devices or those of a domain; raises InputError."""
    if sum(part is not None for part in (place.domain_id, place.appliance_id, place.device_id)) != 1:
        raise InputError("a grant is for one of: a domain, an appliance, a device")
    if (holder.user_id is None) == (holder.group_id is None):
        raise InputError("a grant is given to either a user or a group")
    grant = Grant(
        id=new_id("grt"),
        user_id=holder.user_id,
        group_id=holder.group_id,
        domain_id=place.domain_id,
        appliance_id=place.appliance_id,
        device_id=place.device_id,
        created_at=now,
        created_by=created_by,
        request_id=request_id,
        all_services=terms.services is None,
    )
    _set_terms(session, grant, terms, now)
    return grant


def change_terms(session: Session, grant: Grant, terms: Terms, now: float) -> None:
    """Put a grant on other terms; raises Conflict if it is over."""
    if grant.revoked_at is not None:
        raise Conflict(f"the grant {grant.id} was ended: make a new one")
    _set_terms(session, grant, terms, now)


def terms_of(session: Session, grant: Grant) -> Terms:
    """Return a grant's terms."""
    services = session.scalars(
        select(GrantService.name).where(GrantService.grant_id == grant.id).order_by(GrantService.name)
    )
    return Terms(
        services=None if grant.all_services else tuple(services),
        valid_from=grant.valid_from,
        valid_until=grant.valid_until,
        weekly=grant.weekly,
        bridged=grant.bridged,
        needs_reason=grant.needs_reason,
        needs_approval=grant.needs_approval,
        reason=grant.reason,
    )


def services_of(session: Session, grant_ids: Collection[str]) -> dict[str, tuple[str, ...]]:
    """Return the names of the services that grants are limited to, by grant."""
    found: dict[str, list[str]] = {}
    query = select(GrantService).where(GrantService.grant_id.in_(grant_ids)).order_by(GrantService.name)
    for service in session.scalars(query):
        found.setdefault(service.grant_id, []).append(service.name)
    return {grant_id: tuple(names) for grant_id, names in found.items()}


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
    place = Place(
        domain_id=get_domain(session, target.domain).id if target.domain is not None else None,
        appliance_id=get_appliance(session, target.appliance).id if target.appliance is not None else None,
        device_id=get_device(session, target.device).id if target.device is not None else None,
    )
    terms = Terms(services=tuple(services) or None, valid_from=valid_from, valid_until=valid_until, reason=reason)
    return make_grant(session, Holder(user_id=get_user(session, user_name).id), place, terms, now)


def end_grant(session: Session, grant_id: str, now: float) -> Grant:
    """End a grant now; sessions that need it end with it."""
    grant = session.get(Grant, grant_id)
    if grant is None:
        raise NotFound(f"there is no grant {grant_id[:60]}")
    grant.revoked_at = grant.revoked_at or now
    session.flush()
    return grant


def _set_terms(session: Session, grant: Grant, terms: Terms, now: float) -> None:
    if terms.valid_until is not None and terms.valid_until <= max(now, terms.valid_from or now):
        raise InputError("the grant would be over before it begins")
    grant.valid_from, grant.valid_until = terms.valid_from, terms.valid_until
    grant.weekly, grant.bridged = store_weekly(parse_weekly(terms.weekly)), terms.bridged
    grant.needs_reason, grant.needs_approval = terms.needs_reason, terms.needs_approval
    grant.reason = check_text(terms.reason, "the reason")
    grant.all_services = terms.services is None
    session.add(grant)
    session.flush()
    known = set(services_of(session, [grant.id]).get(grant.id, ()))
    session.execute(delete(GrantService).where(GrantService.grant_id == grant.id))
    for name in dict.fromkeys(terms.services or ()):
        if name not in known and name != PUSH_SERVICE:
            _check_service(session, grant, name)
        session.add(GrantService(grant_id=grant.id, name=name))
    session.flush()


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

"""Grants: who may reach what, when, on which terms. They are made and ended by administrators of what they open."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType
from sqlalchemy import ColumnElement, Select, and_, func, or_, select
from sqlalchemy.orm import Session, aliased

from gatelink.exceptions import InputError
from gm_server.access import grants as records
from gm_server.access.actors import Actor, Permission
from gm_server.access.grants import Holder, Place, Terms
from gm_server.access.weeks import Weekly, describe, parse_weekly, store_weekly
from gm_server.audit.events import Event
from gm_server.audit.log import Detail, Subject, record
from gm_server.database.tables import Appliance, Device, Domain, Grant, Group, User

from .changes import differences, wanted
from .paging import Page, Paging, fetch, matches
from .sight import held_by, sight_of, within
from .subjects import find_appliance, find_device, find_domain, find_group, find_user, missing

GrantState = Literal["valid", "coming", "over", "ended"]
ServiceNames = Annotated[tuple[str, ...], Meta(min_length=1, max_length=64)]
Moment = Annotated[float, Meta(ge=0, le=1e11)]
_ApplianceDomain = aliased(Domain)
_DeviceAppliance = aliased(Appliance)
_DeviceDomain = aliased(Domain)
_GroupDomain = aliased(Domain)
_PATH = func.coalesce(Domain.path, _ApplianceDomain.path, _DeviceDomain.path)
"""Of the domain in which a grant opens something: who may see and end it."""


class GrantView(msgspec.Struct, frozen=True, kw_only=True):
    """A grant."""

    id: str
    holder_kind: Literal["user", "group"]
    holder_id: str
    holder: str
    """The user's name, or the group's path."""
    target_kind: Literal["domain", "appliance", "device"]
    target_id: str
    target: str
    """Path."""
    services: tuple[str, ...] | None
    """Names; None: all, also those that are added later."""
    state: GrantState
    valid_from: float | None
    valid_until: float | None
    weekly: Weekly | None
    """When it counts within the week; None: always."""
    bridged: bool
    needs_reason: bool
    needs_approval: bool
    reason: str
    created_at: float
    created_by: str
    ended_at: float | None
    request_id: str | None
    """The approved request that made it."""


class NewGrant(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A grant to make: one of ``user`` and ``group``, one of ``domain``, ``appliance`` and ``device``; ids or names."""

    user: str = ""
    group: str = ""
    domain: str = ""
    appliance: str = ""
    device: str = ""
    services: ServiceNames | None = None
    valid_from: Moment | None = None
    valid_until: Moment | None = None
    weekly: Weekly | None = None
    bridged: bool = False
    needs_reason: bool = False
    needs_approval: bool = False
    reason: Annotated[str, Meta(max_length=512)] = ""


class GrantChange(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What is to be different."""

    services: ServiceNames | UnsetType | None = UNSET
    valid_from: Moment | UnsetType | None = UNSET
    valid_until: Moment | UnsetType | None = UNSET
    weekly: Weekly | UnsetType | None = UNSET
    bridged: bool | UnsetType = UNSET
    needs_reason: bool | UnsetType = UNSET
    needs_approval: bool | UnsetType = UNSET
    reason: Annotated[str, Meta(max_length=512)] | UnsetType = UNSET


def list_grants(
    session: Session,
    by: Actor,
    paging: Paging,
    now: float,
    *,
    user: str = "",
    group: str = "",
    domain: str = "",
    appliance: str = "",
    state: GrantState | None = None,
) -> Page[GrantView]:
    """Return the grants in domains that the actor sees, and his own, newest first.

    ``user``: his own and his groups'; ``group``: its; ``domain``: for what lies in it; ``appliance``: every grant that
    opens something of it, those for its devices and for domains above it among them.
    """
    query = _all().where(_seen(session, by, now))
    query = query.where(matches(paging.search, User.name, Group.name, _PATH, Appliance.name, Device.name, Grant.reason))
    if user:
        query = query.where(held_by(find_user(session, by, user).record.id))
    if group:
        query = query.where(Grant.group_id == find_group(session, by, group).record.id)
    if domain:
        query = query.where(within(_PATH, [find_domain(session, by, domain).path]))
    if appliance:
        found_appliance = find_appliance(session, by, appliance)
        levels = found_appliance.domain.split("/")
        above = ["/".join(levels[:depth]) for depth in range(1, len(levels) + 1)]
        query = query.where(
            or_(
                Grant.appliance_id == found_appliance.record.id,
                Device.appliance_id == found_appliance.record.id,
                Domain.path.in_(above),
            )
        )
    if state is not None:
        query = query.where(_is_in(state, now))
    found = fetch(session, query, paging, Grant.created_at, Grant.id, descending=True)
    services = records.services_of(session, [row[0].id for row in found.rows])
    return Page(tuple(_view(row[:9], services, now) for row in found.rows), found.next, found.total)


def get_grant(session: Session, by: Actor, grant_id: str, now: float) -> GrantView:
    """Return one grant."""
    row = session.execute(_all().where(Grant.id == grant_id, _seen(session, by, now))).one_or_none()
    if row is None:
        missing("grant", grant_id)
    return _view(row, records.services_of(session, [grant_id]), now)


def add_grant(session: Session, by: Actor, new: NewGrant, now: float) -> GrantView:
    """Let a user or a group reach something."""
    if sum(map(bool, (new.domain, new.appliance, new.device))) != 1:
        raise InputError("a grant is for one of: a domain, an appliance, a device")
    if bool(new.user) == bool(new.group):
        raise InputError("a grant is given to either a user or a group")
    if new.domain:
        place = Place(domain_id=find_domain(session, by, new.domain, Permission.CHANGE).id)
    elif new.appliance:
        place = Place(appliance_id=find_appliance(session, by, new.appliance, Permission.CHANGE).record.id)
    else:
        place = Place(device_id=find_device(session, by, new.device, Permission.CHANGE).record.id)
    if new.user:
        holder = Holder(user_id=find_user(session, by, new.user).record.id)
    else:
        holder = Holder(group_id=find_group(session, by, new.group).record.id)
    terms = {name: getattr(new, name) for name in Terms.__struct_fields__} | {"weekly": store_weekly(new.weekly)}
    grant = records.make_grant(session, holder, place, Terms(**terms), now, by.name)
    view = _one(session, grant.id, now)
    record(session, by, Event.GRANT_ADDED, _subject(session, view), now, "done", **_details(view))
    return view


def change_grant(session: Session, by: Actor, grant_id: str, change: GrantChange, now: float) -> GrantView:
    """Put a grant on other terms; what runs is widened, narrowed or ended within two seconds."""
    grant = _find(session, by, grant_id, now)
    before = msgspec.structs.asdict(records.terms_of(session, grant))
    fields = wanted(change)
    if "weekly" in fields:
        fields["weekly"] = store_weekly(fields["weekly"])
    records.change_terms(session, grant, Terms(**{**before, **fields}), now)
    changed = differences(before, msgspec.structs.asdict(records.terms_of(session, grant)))
    view = _one(session, grant_id, now)
    if changed:
        record(session, by, Event.GRANT_CHANGED, _subject(session, view), now, "done", **changed)
    return view


def end_grant(session: Session, by: Actor, grant_id: str, now: float) -> GrantView:
    """End a grant now; sessions that need it end within two seconds. Idempotent."""
    grant = _find(session, by, grant_id, now)
    if grant.revoked_at is None:
        records.end_grant(session, grant_id, now)
        view = _one(session, grant_id, now)
        record(session, by, Event.GRANT_ENDED, _subject(session, view), now, "done", holder=view.holder)
    return _one(session, grant_id, now)


def _find(session: Session, by: Actor, grant_id: str, now: float) -> Grant:
    """Return a grant that the actor may change. His own he may see, which lets him change nothing."""
    row = session.execute(_all().where(Grant.id == grant_id, _seen(session, by, now))).one_or_none()
    if row is None:
        missing("grant", grant_id)
    by.must(Permission.CHANGE, _domain_of(row), f"grant {grant_id[:80]}")
    grant: Grant = row[0]
    return grant


def _all() -> Select[Any]:
    return (
        select(
            Grant,
            User.name,
            Group.name,
            _GroupDomain.path,
            Domain.path,
            Appliance.name,
            _ApplianceDomain.path,
            Device.name,
            _DeviceDomain.path + "/" + _DeviceAppliance.name,
        )
        .outerjoin(User, User.id == Grant.user_id)
        .outerjoin(Group, Group.id == Grant.group_id)
        .outerjoin(_GroupDomain, _GroupDomain.id == Group.domain_id)
        .outerjoin(Domain, Domain.id == Grant.domain_id)
        .outerjoin(Appliance, Appliance.id == Grant.appliance_id)
        .outerjoin(_ApplianceDomain, _ApplianceDomain.id == Appliance.domain_id)
        .outerjoin(Device, Device.id == Grant.device_id)
        .outerjoin(_DeviceAppliance, _DeviceAppliance.id == Device.appliance_id)
        .outerjoin(_DeviceDomain, _DeviceDomain.id == _DeviceAppliance.domain_id)
    )


def _seen(session: Session, by: Actor, now: float) -> ColumnElement[bool]:
    seen = sight_of(session, by, now).domains(_PATH)
    return or_(seen, held_by(by.user_id)) if by.user_id and by.may_see_himself else seen


def _is_in(state: GrantState, now: float) -> ColumnElement[bool]:
    ended, over = Grant.revoked_at.is_not(None), Grant.valid_until <= now
    going_on = and_(Grant.revoked_at.is_(None), or_(Grant.valid_until.is_(None), Grant.valid_until > now))
    match state:
        case "ended":
            return ended
        case "over":
            return and_(Grant.revoked_at.is_(None), over)
        case "coming":
            return and_(going_on, Grant.valid_from > now)
    return and_(going_on, or_(Grant.valid_from.is_(None), Grant.valid_from <= now))


def _state(grant: Grant, now: float) -> GrantState:
    if grant.revoked_at is not None:
        return "ended"
    if grant.valid_until is not None and now >= grant.valid_until:
        return "over"
    return "coming" if grant.valid_from is not None and now < grant.valid_from else "valid"


def _one(session: Session, grant_id: str, now: float) -> GrantView:
    row = session.execute(_all().where(Grant.id == grant_id)).one()
    return _view(row, records.services_of(session, [grant_id]), now)


def _domain_of(row: Sequence[Any]) -> str:
    """Return the path of the domain in which a grant opens something."""
    _, _, _, _, domain, _, appliance_domain, _, device_appliance = row
    return str(domain or appliance_domain or device_appliance.rpartition("/")[0])


def _view(row: Sequence[Any], services: dict[str, tuple[str, ...]], now: float) -> GrantView:
    grant, user, group, group_domain, domain, appliance, appliance_domain, device, device_appliance = row
    if grant.domain_id is not None:
        kind, target_id, target = "domain", grant.domain_id, domain
    elif grant.appliance_id is not None:
        kind, target_id, target = "appliance", grant.appliance_id, f"{appliance_domain}/{appliance}"
    else:
        kind, target_id, target = "device", grant.device_id or "", f"{device_appliance}/{device}"
    return GrantView(
        id=grant.id,
        holder_kind="user" if grant.user_id is not None else "group",
        holder_id=grant.user_id or grant.group_id or "",
        holder=user if grant.user_id is not None else f"{group_domain}/{group}",
        target_kind=kind,  # type: ignore[arg-type]  # one of three words
        target_id=target_id,
        target=target,
        services=None if grant.all_services else services.get(grant.id, ()),
        state=_state(grant, now),
        valid_from=grant.valid_from,
        valid_until=grant.valid_until,
        weekly=parse_weekly(grant.weekly),
        bridged=grant.bridged,
        needs_reason=grant.needs_reason,
        needs_approval=grant.needs_approval,
        reason=grant.reason,
        created_at=grant.created_at,
        created_by=grant.created_by,
        ended_at=grant.revoked_at,
        request_id=grant.request_id,
    )


def _subject(session: Session, view: GrantView) -> Subject:
    row = session.execute(_all().where(Grant.id == view.id)).one()
    return Subject(view.id, f"{view.target} for {view.holder}"[:640], _domain_of(row))


def _details(view: GrantView) -> dict[str, Detail]:
    return {
        "holder": view.holder,
        "target": f"{view.target_kind} {view.target}",
        "services": "all" if view.services is None else ", ".join(view.services),
        "valid_from": view.valid_from,
        "valid_until": view.valid_until,
        "weekly": describe(view.weekly) if view.weekly else "",
        "bridged": view.bridged,
        "needs_reason": view.needs_reason,
        "needs_approval": view.needs_approval,
        "reason": view.reason,
    }

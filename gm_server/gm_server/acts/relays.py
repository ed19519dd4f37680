"""Permanent relays: made, changed and removed by administrators of the device's domain. A grant must allow each."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Annotated, Any, Final, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType
from sqlalchemy import Select, select
from sqlalchemy.orm import Session

from gatelink.exceptions import InputError
from gm_server.access import relays as rules
from gm_server.access.actors import Actor, Permission
from gm_server.access.facts import Facts, load_facts
from gm_server.access.relays import FIRST_PC_PORT, Condition, Direction, Observed, condition
from gm_server.audit.events import Event
from gm_server.audit.log import Subject, record
from gm_server.database.tables import Appliance, Device, Domain, Relay, Service, User
from gm_server.exceptions import Conflict
from gm_server.ids import new_id
from gm_server.names import check_name, check_text

from .changes import differences, wanted
from .paging import Page, Paging, fetch, matches
from .sight import within
from .subjects import DeviceFound, find_appliance, find_device, find_domain, find_user, missing

MAX_PER_USER: Final = 128
"""They fit into one message."""
MAX_PUSHES_PER_DEVICE: Final = 16
LAST_PC_PORT: Final = 65535
_SET_UP_PORTS: Final = (53, 67, 80, 443)
"""Of the SiteManager itself at the machine's side: a technician may need its page from any address there."""
Port = Annotated[int, Meta(ge=1, le=65535)]
Name = Annotated[str, Meta(min_length=1, max_length=63)]
Note = Annotated[str, Meta(max_length=512)]


class RelayView(msgspec.Struct, frozen=True, kw_only=True):
    """A permanent relay."""

    id: str
    name: str
    direction: Direction
    device_id: str
    device: str
    """Its path."""
    appliance_id: str
    user_id: str
    user: str
    """Whose LinkManager carries it."""
    port: int
    """Where connections are taken: at the LinkManager's host (pull), at the SiteManager's machine side (push)."""
    service: str
    """Of the device (pull)."""
    target_port: int
    """Of the device (pull); of the tunnel's end, where the LinkManager takes it (push)."""
    enabled: bool
    allowed: bool
    """Whether a grant of the user opens it now."""
    note: str
    created_at: float
    created_by: str
    condition: Condition = "unknown"
    text: str = ""
    """Why, or where."""
    connections: int | None = None
    """Open now; this and what follows since the LinkManager's agent began, None while nobody carries it."""
    opened: int | None = None
    refused: int | None = None
    bytes_to_device: int | None = None
    bytes_from_device: int | None = None


class NewRelay(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A relay to make; ``device`` and ``user`` by path, name or id.

    ``service`` (pull) names a TCP service of the device; ``device_port`` is needed where it has several ports.
    """

    name: Name
    direction: Literal["pull", "push"]
    device: str
    user: str
    port: Port
    service: Annotated[str, Meta(max_length=63)] = ""
    device_port: Annotated[int, Meta(ge=0, le=65535)] = 0
    enabled: bool = True
    note: Note = ""


class RelayChange(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What is to be different."""

    name: Name | UnsetType = UNSET
    user: str | UnsetType = UNSET
    port: Port | UnsetType = UNSET
    service: Annotated[str, Meta(max_length=63)] | UnsetType = UNSET
    device_port: Annotated[int, Meta(ge=0, le=65535)] | UnsetType = UNSET
    enabled: bool | UnsetType = UNSET
    note: Note | UnsetType = UNSET


def list_relays(
    session: Session, by: Actor, paging: Paging, now: float, *, domain: str = "", user: str = "", appliance: str = ""
) -> Page[RelayView]:
    """Return the relays with devices in domains that the actor sees, and those that he carries, by name."""
    query = _all().where(_seen(by))
    query = query.where(matches(paging.search, Relay.name, Device.name, Appliance.name, Domain.path, User.name))
    if domain:
        query = query.where(within(Domain.path, [find_domain(session, by, domain).path]))
    if user:
        query = query.where(Relay.user_id == find_user(session, by, user).record.id)
    if appliance:
        query = query.where(Device.appliance_id == find_appliance(session, by, appliance).record.id)
    found = fetch(session, query, paging, Relay.name, Relay.id)
    return Page(_views(session, [row[:5] for row in found.rows], now), found.next, found.total)


def get_relay(session: Session, by: Actor, reference: str, now: float) -> RelayView:
    """Return one relay, by id or by a name that only one has which the actor sees."""
    return _views(session, [_find(session, by, reference, Permission.SEE)], now)[0]


def add_relay(session: Session, by: Actor, new: NewRelay, now: float) -> RelayView:
    """Make a relay; it works as soon as a LinkManager of its user carries it and a grant of his allows it."""
    found = find_device(session, by, new.device, Permission.CHANGE)
    user = find_user(session, by, new.user).record
    relay = Relay(
        id=new_id("rly"),
        name=check_name(new.name, "a relay"),
        device_id=found.record.id,
        user_id=user.id,
        direction=new.direction,
        port=new.port,
        service="",
        target_port=0,
        enabled=new.enabled,
        note=check_text(new.note, "the note"),
        created_at=now,
        created_by=by.name,
    )
    _aim(session, relay, found, new.service, new.device_port)
    _check(session, relay)
    session.add(relay)
    session.flush()
    details = _changeable(session, relay) | {"device": found.path, "direction": relay.direction}
    record(session, by, Event.RELAY_ADDED, _subject(relay, found), now, "done", **details)
    return get_relay(session, by, relay.id, now)


def change_relay(session: Session, by: Actor, reference: str, change: RelayChange, now: float) -> RelayView:
    """Change a relay; what it carries ends within two seconds where it may not go on."""
    relay = _find(session, by, reference, Permission.CHANGE)[0]
    found = find_device(session, by, relay.device_id, Permission.CHANGE)
    before = _changeable(session, relay)
    fields = wanted(change)
    if "name" in fields:
        relay.name = check_name(fields["name"], "a relay")
    if "user" in fields:
        relay.user_id = find_user(session, by, fields["user"]).record.id
    if "note" in fields:
        relay.note = check_text(fields["note"], "the note")
    relay.port = fields.get("port", relay.port)
    relay.enabled = fields.get("enabled", relay.enabled)
    if fields.keys() & {"service", "device_port"}:
        _aim(session, relay, found, fields.get("service", relay.service), fields.get("device_port", 0))
    with session.no_autoflush:
        _check(session, relay)
    session.flush()
    changed = differences(before, _changeable(session, relay))
    if changed:
        record(session, by, Event.RELAY_CHANGED, _subject(relay, found), now, "done", **changed)
    return get_relay(session, by, relay.id, now)


def remove_relay(session: Session, by: Actor, reference: str, now: float) -> None:
    """Remove a relay; what it carries ends within two seconds."""
    relay = _find(session, by, reference, Permission.CHANGE)[0]
    subject = _subject(relay, find_device(session, by, relay.device_id, Permission.CHANGE))
    session.delete(relay)
    session.flush()
    record(session, by, Event.RELAY_REMOVED, subject, now, "done")


def observed(view: RelayView, seen: Observed | None) -> RelayView:
    """Return a relay as it is now; None: there is no running server."""
    state, text = condition(enabled=view.enabled, allowed=view.allowed, observed=seen)
    told = seen.told if seen is not None else None
    numbers: dict[str, int] = {}
    if told is not None:
        for name in ("connections", "opened", "refused", "bytes_to_device", "bytes_from_device"):
            numbers[name] = getattr(told, name)
    return msgspec.structs.replace(view, condition=state, text=text, **numbers)


def _all() -> Select[Any]:
    return (
        select(Relay, Device, Appliance, Domain.path, User.name)
        .join(Device, Device.id == Relay.device_id)
        .join(Appliance, Appliance.id == Device.appliance_id)
        .join(Domain, Domain.id == Appliance.domain_id)
        .join(User, User.id == Relay.user_id)
    )


def _seen(by: Actor) -> Any:
    seen = within(Domain.path, by.seen_domains)
    return seen | (Relay.user_id == by.user_id) if by.user_id and by.may_see_himself else seen


def _find(session: Session, by: Actor, reference: str, permission: Permission) -> Sequence[Any]:
    rows = session.execute(_all().where(_seen(by), (Relay.id == reference) | (Relay.name == reference))).all()
    if not rows:
        missing("relay", reference)
    if len(rows) > 1:
        raise Conflict(f"{len(rows)} relays have this name: use the id of the one that is meant")
    if permission is not Permission.SEE:
        # His own he sees without a role there, which lets him change nothing.
        by.must(permission, rows[0][3], f"relay {reference[:80]}")
    return rows[0]


def _aim(session: Session, relay: Relay, found: DeviceFound, service: str, device_port: int) -> None:
    """Set where its connections go to."""
    if relay.direction == "push":
        if service or device_port:
            raise InputError("a push has no service of the device: the device itself connects")
        if not found.record.address:
            raise InputError(f"{found.record.name} is a serial port: it cannot connect to anything")
        relay.service = ""
        relay.target_port = _free_pc_port(session, found.record.appliance_id)
        return
    if not service:
        raise InputError("a pull needs a service of the device, by its name")
    query = select(Service).where(Service.device_id == found.record.id, Service.name == service)
    ranges = [row for row in session.scalars(query) if row.protocol == "tcp"]
    if not ranges:
        raise InputError(f"{found.record.name} has no TCP service {service[:63]}: a relay carries TCP")
    if not device_port:
        if len(ranges) > 1 or ranges[0].first_port != ranges[0].last_port:
            raise InputError(f"the service {service[:63]} has several ports: say which one of the device")
        device_port = ranges[0].first_port
    if not any(row.first_port <= device_port <= row.last_port for row in ranges):
        raise InputError(f"the port {device_port} is not one of the service {service[:63]}")
    relay.service, relay.target_port = service, device_port


def _free_pc_port(session: Session, appliance_id: str) -> int:
    """Return a port of the tunnel's end that no other push of this appliance has."""
    query = (
        select(Relay.target_port)
        .join(Device, Device.id == Relay.device_id)
        .where(Device.appliance_id == appliance_id, Relay.direction == "push")
    )
    taken = set(session.scalars(query))
    for port in range(FIRST_PC_PORT, LAST_PC_PORT + 1):
        if port not in taken:
            return port
    raise Conflict("this appliance has as many pushes as there are ports for them")


def _check(session: Session, relay: Relay) -> None:
    """Raise Conflict if another relay is in its way."""
    others = session.scalars(select(Relay).where(Relay.user_id == relay.user_id, Relay.id != relay.id)).all()
    if len(others) >= MAX_PER_USER:
        raise Conflict(f"a user can carry {MAX_PER_USER} relays: let another user carry this one")
    for other in others:
        if other.name == relay.name:
            raise Conflict(f"this user carries a relay {relay.name} already")
        if relay.direction == other.direction == "pull" and relay.port == other.port:
            raise Conflict(f"the port {relay.port} is that of this user's relay {other.name} already")
    if relay.direction == "push":
        if relay.port in _SET_UP_PORTS:
            raise InputError(f"the port {relay.port} is the SiteManager's own at the machine: choose another one")
        query = select(Relay).where(Relay.device_id == relay.device_id, Relay.id != relay.id)
        pushes = [other for other in session.scalars(query) if other.direction == "push"]
        if any(other.port == relay.port for other in pushes):
            raise Conflict(f"the device has a push to the port {relay.port} already")
        if len(pushes) >= MAX_PUSHES_PER_DEVICE:
            raise Conflict(f"a device can have {MAX_PUSHES_PER_DEVICE} pushes")


def _changeable(session: Session, relay: Relay) -> dict[str, str | int | bool | None]:
    return {
        "name": relay.name,
        "user": session.get_one(User, relay.user_id).name,
        "port": relay.port,
        "service": relay.service,
        "target_port": relay.target_port,
        "enabled": relay.enabled,
        "note": relay.note,
    }


def _subject(relay: Relay, found: DeviceFound) -> Subject:
    return Subject(relay.id, f"{relay.name} ({found.path})"[:640], found.appliance.domain)


def _views(session: Session, rows: Sequence[Sequence[Any]], now: float) -> tuple[RelayView, ...]:
    users: Collection[str] = {row[0].user_id for row in rows}
    facts = load_facts(session, users, {row[2].id for row in rows}) if rows else Facts({}, {}, {})
    return tuple(_view(row, facts, now) for row in rows)


def _view(row: Sequence[Any], facts: Facts, now: float) -> RelayView:
    relay, device, appliance, domain, user = row
    return RelayView(
        id=relay.id,
        name=relay.name,
        direction=relay.direction,
        device_id=device.id,
        device=f"{domain}/{appliance.name}/{device.name}",
        appliance_id=appliance.id,
        user_id=relay.user_id,
        user=user,
        port=relay.port,
        service=relay.service,
        target_port=relay.target_port,
        enabled=relay.enabled,
        allowed=_allowed(relay.id, relay.user_id, appliance.id, facts, now),
        note=relay.note,
        created_at=relay.created_at,
        created_by=relay.created_by,
    )


def _allowed(relay_id: str, user_id: str, appliance_id: str, facts: Facts, now: float) -> bool:
    relay = next((each for each in facts.relays.get(user_id, ()) if each.relay_id == relay_id), None)
    appliance = facts.appliances.get(appliance_id)
    if relay is None or appliance is None:
        return False
    return rules.is_open(relay, facts.relay_rights(user_id, appliance, now))

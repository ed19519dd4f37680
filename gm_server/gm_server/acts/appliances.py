"""Appliances: expected, adopted, named, moved, revoked, removed. What they report is read here too.

Who sees an appliance only by a grant is told its name, place and state, and nothing of the site.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Annotated, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from gatelink.exceptions import InputError
from gatelink.identity import fingerprint_text, serial_text
from gm_server.access.actors import Actor, Permission
from gm_server.appliances import registry as records
from gm_server.audit.events import Event
from gm_server.audit.log import record
from gm_server.database.tables import Appliance, Device, Domain
from gm_server.names import check_text

from .changes import differences
from .paging import Page, Paging, fetch, matches
from .sight import Sight, sight_of, within
from .subjects import ApplianceFound, find_appliance, find_domain, missing

ApplianceState = Literal["expected", "active", "revoked"]


class ConnectionView(msgspec.Struct, frozen=True):
    """How an appliance is connected now."""

    since: float
    address: str
    port: int
    latency_ms: float | None = None
    uplink: str = ""


class ApplianceView(msgspec.Struct, frozen=True, kw_only=True):
    """An appliance. Sizes are bytes, times Unix seconds."""

    id: str
    domain_id: str
    domain: str
    name: str
    path: str
    state: ApplianceState
    online: bool | None = None
    """None: nobody asked the running server."""
    connection: ConnectionView | None = None
    software: str = ""
    hardware: str = ""
    firmware: str = ""
    note: str = ""
    offline_alarm_minutes: int | None = None
    """Absence after which there is an alarm; None: as the server is set, 0: never."""
    created_at: float
    enrolled_at: float | None = None
    last_seen_at: float | None = None
    last_address: str | None = None
    last_port: int | None = None
    key: str | None = None
    """Fingerprint, to compare with what the SiteManager shows."""
    devices: int = 0
    devices_reachable: int = 0
    devices_unreachable: int = 0
    limited: bool = False
    """A grant shows it, no role: what is not needed to use it is left out."""


class ApplianceDetail(ApplianceView, frozen=True, kw_only=True):
    """An appliance with what takes longer to find out."""

    serial: str | None = None
    """Of its certificate."""
    status: str = ""
    """What it last reported of itself, as JSON (``messages.ApplianceStatus``)."""
    status_at: float | None = None


class ApplianceChange(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is to be different."""

    name: str | UnsetType = UNSET
    domain: str | UnsetType = UNSET
    """Id or path of the domain that it is to move to."""
    note: Annotated[str, Meta(max_length=2000)] | UnsetType = UNSET
    offline_alarm_minutes: Annotated[int, Meta(ge=0, le=525600)] | UnsetType | None = UNSET


def list_appliances(
    session: Session,
    by: Actor,
    paging: Paging,
    now: float,
    *,
    domain: str = "",
    state: ApplianceState | None = None,
    only: Collection[str] | None = None,
    without: Collection[str] | None = None,
) -> Page[ApplianceView]:
    """Return the appliances that the actor sees, by path.

    ``domain`` (id or path): those in it and below. ``only`` and ``without`` are ids: who is online, for example.
    """
    sight = sight_of(session, by, now)
    query = select(Appliance, Domain.path).join(Domain, Domain.id == Appliance.domain_id).where(sight.appliances())
    query = query.where(matches(paging.search, Domain.path, Appliance.name))
    if domain:
        query = query.where(within(Domain.path, [find_domain(session, by, domain).path]))
    if state is not None:
        query = query.where(Appliance.state == state)
    if only is not None:
        query = query.where(Appliance.id.in_(only))
    if without is not None:
        query = query.where(Appliance.id.not_in(without))
    found = fetch(session, query, paging, Domain.path, Appliance.name)
    rows = [ApplianceFound(row[0], row[1]) for row in found.rows]
    return Page(_views(session, sight, rows), found.next, found.total)


def get_appliance(session: Session, by: Actor, reference: str, now: float) -> ApplianceDetail:
    """Return one appliance that roles or grants show."""
    sight = sight_of(session, by, now)
    found = seen_appliance(session, sight, reference)
    [view] = _views(session, sight, [found])
    fields = msgspec.structs.asdict(view)
    if view.limited:
        return ApplianceDetail(**fields)
    appliance = found.record
    return ApplianceDetail(
        **fields,
        serial=serial_text(appliance.certificate) if appliance.certificate else None,
        status=appliance.status,
        status_at=appliance.status_at,
    )


def seen_appliance(session: Session, sight: Sight, reference: str) -> ApplianceFound:
    """Return an appliance that roles or grants show; raises NotFound."""
    query = select(Appliance, Domain.path).join(Domain, Domain.id == Appliance.domain_id).where(sight.appliances())
    if "/" in reference:
        domain_path, _, name = reference.strip("/").rpartition("/")
        query = query.where(Domain.path == domain_path, Appliance.name == name)
    else:
        query = query.where(Appliance.id == reference)
    row = session.execute(query).one_or_none()
    if row is None:
        missing("appliance", reference)
    return ApplianceFound(row[0], row[1])


def add_appliance(session: Session, by: Actor, domain: str, name: str, now: float, note: str = "") -> ApplianceDetail:
    """Make an appliance that is expected: devices and grants can be set up, a claim lets the unit in."""
    owner = find_domain(session, by, domain, Permission.CHANGE)
    appliance = records.add_appliance(session, owner.path, name, now)
    appliance.note = check_note(note)
    session.flush()
    record(session, by, Event.APPLIANCE_ADDED, ApplianceFound(appliance, owner.path).subject, now)
    return get_appliance(session, by, appliance.id, now)


def change_appliance(
    session: Session, by: Actor, reference: str, change: ApplianceChange, now: float
) -> ApplianceDetail:
    """Rename or move an appliance, or change what is noted of it. Rights that come from its old domain end."""
    found = find_appliance(session, by, reference, Permission.CHANGE)
    appliance, before = found.record, _changeable(found)
    target = found.domain
    if isinstance(change.domain, str):
        target = find_domain(session, by, change.domain, Permission.CHANGE).path
    name = change.name if isinstance(change.name, str) else appliance.name
    if (target, name) != (found.domain, appliance.name):
        records.rename_appliance(session, appliance.id, name, target)
    if isinstance(change.note, str):
        appliance.note = check_note(change.note)
    if change.offline_alarm_minutes is not UNSET:
        appliance.offline_alarm_minutes = change.offline_alarm_minutes
    session.flush()
    moved = ApplianceFound(appliance, target)
    changed = differences(before, _changeable(moved))
    if changed:
        record(session, by, Event.APPLIANCE_CHANGED, moved.subject, now, "done", **changed)
    return get_appliance(session, by, appliance.id, now)


def revoke_appliance(session: Session, by: Actor, reference: str, now: float) -> ApplianceDetail:
    """Never accept an appliance's certificate again; its sessions end, open claims for it are closed."""
    found = find_appliance(session, by, reference, Permission.CHANGE)
    if found.record.state != "revoked":
        records.revoke_appliance(session, found.record.id, now)
        record(session, by, Event.APPLIANCE_REVOKED, found.subject, now)
    return get_appliance(session, by, found.record.id, now)


def remove_appliance(session: Session, by: Actor, reference: str, now: float) -> None:
    """Remove an appliance with its devices and grants; its sessions end, the history stays."""
    found = find_appliance(session, by, reference, Permission.CHANGE)
    subject = found.subject
    records.remove_appliance(session, found.record.id)
    record(session, by, Event.APPLIANCE_REMOVED, subject, now)


def check_note(note: str) -> str:
    """Return a note of several lines; raises InputError."""
    if len(note) > 2000:
        raise InputError(f"a note can have 2000 characters, got {len(note)}")
    for line in note.splitlines():
        check_text(line, "a line of the note", 2000)
    return note


def _changeable(found: ApplianceFound) -> dict[str, str | int | None]:
    appliance = found.record
    return {
        "path": found.path,
        "note": appliance.note,
        "offline_alarm_minutes": appliance.offline_alarm_minutes,
    }


def _views(session: Session, sight: Sight, found: list[ApplianceFound]) -> tuple[ApplianceView, ...]:
    ids = [item.record.id for item in found]
    counts: dict[str, dict[bool | None, int]] = {}
    query = select(Device.appliance_id, Device.reachable, func.count()).join(
        Appliance, Appliance.id == Device.appliance_id
    )
    query = query.join(Domain, Domain.id == Appliance.domain_id).where(Device.appliance_id.in_(ids), sight.devices())
    for appliance_id, reachable, count in session.execute(query.group_by(Device.appliance_id, Device.reachable)):
        counts.setdefault(appliance_id, {})[reachable] = count
    return tuple(_view(item, counts.get(item.record.id, {}), sight) for item in found)


def _view(found: ApplianceFound, devices: dict[bool | None, int], sight: Sight) -> ApplianceView:
    appliance = found.record
    limited = ApplianceView(
        id=appliance.id,
        domain_id=appliance.domain_id,
        domain=found.domain,
        name=appliance.name,
        path=found.path,
        state=appliance.state,  # type: ignore[arg-type]  # the schema's rule
        created_at=appliance.created_at,
        devices=sum(devices.values()),
        devices_reachable=devices.get(True, 0),
        devices_unreachable=devices.get(False, 0),
        limited=True,
    )
    if not sight.is_whole(found.domain):
        return limited
    return msgspec.structs.replace(
        limited,
        software=appliance.software,
        hardware=appliance.hardware,
        firmware=appliance.firmware,
        note=appliance.note,
        offline_alarm_minutes=appliance.offline_alarm_minutes,
        enrolled_at=appliance.enrolled_at,
        last_seen_at=appliance.last_seen_at,
        last_address=appliance.last_address,
        last_port=appliance.last_port,
        key=fingerprint_text(appliance.key_sha256) if appliance.key_sha256 else None,
        limited=False,
    )

"""Devices behind an appliance and the services that grants may open."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType
from sqlalchemy import Select, delete, select
from sqlalchemy.orm import Session

from gatelink.exceptions import InputError
from gatelink.messages import Service as Ports
from gatelink.serial_lines import line_text, parse_line
from gm_server.access.actors import Actor, Permission
from gm_server.appliances import devices as records
from gm_server.appliances.presets import preset
from gm_server.appliances.virtual import virtual_address, virtual_network
from gm_server.audit.events import Event
from gm_server.audit.log import Detail, record
from gm_server.database.tables import Appliance, Device, Domain, Service
from gm_server.names import check_text

from .appliances import check_note, seen_appliance
from .changes import differences
from .paging import Page, Paging, fetch, matches
from .sight import Sight, sight_of, within
from .subjects import ApplianceFound, DeviceFound, find_appliance, find_device, find_domain, missing

CheckKind = Literal["ping", "tcp", "modbus", "none"]
ShortText = Annotated[str, Meta(max_length=128)]
Mac = Annotated[str, Meta(pattern="^([0-9a-f]{2}(:[0-9a-f]{2}){5})?$")]
Port = Annotated[int, Meta(ge=0, le=65535)]
LineText = Annotated[str, Meta(max_length=32)]


class ServicePorts(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A service: protocol and ports. Several of one name are one service.

    The ports of ``icmp`` (echo request) are 0; those of ``ethernet`` are EtherTypes, open in bridged sessions alone.
    """

    name: Annotated[str, Meta(min_length=1, max_length=63)]
    protocol: Literal["tcp", "udp", "icmp", "ethernet"]
    first_port: Port = 0
    last_port: Port = 0


class DeviceView(msgspec.Struct, frozen=True, kw_only=True):
    """A device."""

    id: str
    appliance_id: str
    appliance: str
    """Its path."""
    name: str
    path: str
    address: str | None
    """In the plant; None for a serial port."""
    serial_port: str | None
    serial_settings: str = ""
    """Of the line, like ``19200,8,E,1``; empty: as the SiteManager's own configuration says."""
    virtual_address: str = ""
    mac: str = ""
    preset: str = ""
    vendor: str = ""
    model: str = ""
    note: str = ""
    check_kind: CheckKind = "ping"
    check_port: int = 0
    reachable: bool | None = None
    """By the last check of the SiteManager; None: not known."""
    checked_at: float | None = None
    check_text: str = ""
    services: tuple[ServicePorts, ...] = ()
    limited: bool = False
    """A grant shows it, no role: only what it opens is listed."""


class NewDevice(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A device to add, with an address or a serial port. Services: those of the preset, and these."""

    name: Annotated[str, Meta(min_length=1, max_length=63)]
    address: Annotated[str, Meta(max_length=15)] | None = None
    serial_port: Annotated[str, Meta(max_length=63)] | None = None
    serial_settings: LineText = ""
    preset: Annotated[str, Meta(max_length=64)] = ""
    services: Annotated[tuple[ServicePorts, ...], Meta(max_length=64)] = ()
    mac: Mac = ""
    vendor: ShortText = ""
    model: ShortText = ""
    note: Annotated[str, Meta(max_length=2000)] = ""
    check_kind: CheckKind = "ping"
    check_port: Port = 0


class DeviceChange(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What is to be different. ``services`` are all that it has from then on."""

    name: Annotated[str, Meta(min_length=1, max_length=63)] | UnsetType = UNSET
    address: Annotated[str, Meta(max_length=15)] | UnsetType | None = UNSET
    serial_port: Annotated[str, Meta(max_length=63)] | UnsetType | None = UNSET
    serial_settings: LineText | UnsetType = UNSET
    services: Annotated[tuple[ServicePorts, ...], Meta(max_length=64)] | UnsetType = UNSET
    mac: Mac | UnsetType = UNSET
    vendor: ShortText | UnsetType = UNSET
    model: ShortText | UnsetType = UNSET
    note: Annotated[str, Meta(max_length=2000)] | UnsetType = UNSET
    check_kind: CheckKind | UnsetType = UNSET
    check_port: Port | UnsetType = UNSET


def list_devices(
    session: Session,
    by: Actor,
    paging: Paging,
    now: float,
    *,
    appliance: str = "",
    domain: str = "",
    reachable: bool | None = None,
) -> Page[DeviceView]:
    """Return the devices that the actor sees, by path; ``appliance`` and ``domain`` (id or path) limit it."""
    sight = sight_of(session, by, now)
    query = _all(sight)
    query = query.where(matches(paging.search, Domain.path, Appliance.name, Device.name, Device.address, Device.model))
    if appliance:
        query = query.where(Device.appliance_id == seen_appliance(session, sight, appliance).record.id)
    if domain:
        query = query.where(within(Domain.path, [find_domain(session, by, domain).path]))
    if reachable is not None:
        query = query.where(Device.reachable.is_(reachable))
    found = fetch(session, query, paging, Domain.path, Appliance.name, Device.name)
    rows = [DeviceFound(row[0], ApplianceFound(row[1], row[2])) for row in found.rows]
    return Page(_views(session, sight, rows), found.next, found.total)


def get_device(session: Session, by: Actor, reference: str, now: float) -> DeviceView:
    """Return one device that roles or grants show."""
    sight = sight_of(session, by, now)
    query = _all(sight)
    if "/" in reference:
        appliance_path, _, name = reference.strip("/").rpartition("/")
        domain_path, _, appliance_name = appliance_path.rpartition("/")
        query = query.where(Domain.path == domain_path, Appliance.name == appliance_name, Device.name == name)
    else:
        query = query.where(Device.id == reference)
    row = session.execute(query).one_or_none()
    if row is None:
        missing("device", reference)
    return _views(session, sight, [DeviceFound(row[0], ApplianceFound(row[1], row[2]))])[0]


def add_device(session: Session, by: Actor, appliance: str, new: NewDevice, now: float) -> DeviceView:
    """Add a device with the services of a preset and those that are named."""
    owner = find_appliance(session, by, appliance, Permission.CHANGE)
    services = [*(preset(new.preset) if new.preset else ()), *map(check_service, new.services)]
    device = records.add_device(session, owner.record.id, new.name, new.address, new.serial_port)
    device.preset, device.mac, device.note = new.preset, new.mac, check_note(new.note)
    device.serial_settings = _check_line(new.serial_settings, device)
    device.vendor, device.model = check_text(new.vendor, "the vendor", 128), check_text(new.model, "the model", 128)
    device.check_kind, device.check_port = new.check_kind, new.check_port
    session.flush()
    if services:
        records.add_services(session, device.id, services)
    details: dict[str, Detail] = {"address": device.address or device.serial_port, "services": _describe(services)}
    record(session, by, Event.DEVICE_ADDED, DeviceFound(device, owner).subject, now, "done", **details)
    return get_device(session, by, device.id, now)


def change_device(session: Session, by: Actor, reference: str, change: DeviceChange, now: float) -> DeviceView:
    """Change a device; sessions that need what is gone end or are narrowed within two seconds."""
    found = find_device(session, by, reference, Permission.CHANGE)
    device, before = found.record, _changeable(session, found.record)
    name = device.name if change.name is UNSET else change.name
    address = device.address if change.address is UNSET else change.address
    port = device.serial_port if change.serial_port is UNSET else change.serial_port
    owner = found.appliance.record
    device.name, device.address, device.serial_port = records.check_place(
        session, owner, name, address, port, device.id
    )
    if change.note is not UNSET:
        device.note = check_note(change.note)
    line = change.serial_settings
    if line is UNSET:
        line = device.serial_settings if device.serial_port else ""
    device.serial_settings = _check_line(line, device)
    for field, what in (("vendor", "the vendor"), ("model", "the model")):
        value = getattr(change, field)
        if value is not UNSET:
            setattr(device, field, check_text(value, what, 2000))
    for field in ("mac", "check_kind", "check_port"):
        value = getattr(change, field)
        if value is not UNSET:
            setattr(device, field, value)
    session.flush()
    if change.services is not UNSET:
        session.execute(delete(Service).where(Service.device_id == device.id))
        records.add_services(session, device.id, [check_service(service) for service in change.services])
    records.check_fits(session, owner)
    changed = differences(before, _changeable(session, device))
    if changed:
        record(session, by, Event.DEVICE_CHANGED, found.subject, now, "done", **changed)
    return get_device(session, by, device.id, now)


def add_services(session: Session, by: Actor, reference: str, services: Sequence[Ports], now: float) -> DeviceView:
    """Add services to a device."""
    found = find_device(session, by, reference, Permission.CHANGE)
    records.add_services(session, found.record.id, services)
    record(session, by, Event.DEVICE_CHANGED, found.subject, now, "done", services_added=_describe(services))
    return get_device(session, by, found.record.id, now)


def remove_service(session: Session, by: Actor, reference: str, name: str, now: float) -> DeviceView:
    """Remove a service (all its ports) from a device."""
    found = find_device(session, by, reference, Permission.CHANGE)
    records.remove_service(session, found.record.id, name)
    record(session, by, Event.DEVICE_CHANGED, found.subject, now, "done", services_removed=name)
    return get_device(session, by, found.record.id, now)


def remove_device(session: Session, by: Actor, reference: str, now: float) -> None:
    """Remove a device with its services and the grants for it."""
    found = find_device(session, by, reference, Permission.CHANGE)
    subject = found.subject
    records.remove_device(session, found.record.id)
    record(session, by, Event.DEVICE_REMOVED, subject, now)


def check_service(ports: ServicePorts) -> Ports:
    """Return a service as it is kept; raises InputError for ports that its protocol cannot have."""
    first, last = ports.first_port, ports.last_port or ports.first_port
    lowest = {"tcp": 1, "udp": 1, "icmp": 0, "ethernet": 1536}[ports.protocol]
    highest = 0 if ports.protocol == "icmp" else 65535
    if not lowest <= first <= last <= highest or (ports.protocol == "ethernet" and first != last):
        raise InputError(
            f"{ports.protocol} {first}-{last} cannot be: tcp and udp have ports from 1 to 65535, icmp has none, "
            "ethernet one EtherType from 1536 to 65535"
        )
    return Ports(ports.name, ports.protocol, first, last)


def _check_line(text: str, device: Device) -> str:
    """Return a line's settings as they are kept; raises InputError."""
    if not text.strip():
        return ""
    if not device.serial_port:
        raise InputError(f"{device.name} has an address: only a serial port has line settings")
    return line_text(parse_line(text))


def _describe(services: Sequence[Ports]) -> str:
    return ", ".join(map(records.describe_ports, services))


def _changeable(session: Session, device: Device) -> dict[str, str | int | None]:
    query = select(Service).where(Service.device_id == device.id)
    services = session.scalars(query.order_by(Service.name, Service.protocol, Service.first_port))
    return {
        "name": device.name,
        "address": device.address,
        "serial_port": device.serial_port,
        "serial_settings": device.serial_settings,
        "mac": device.mac,
        "vendor": device.vendor,
        "model": device.model,
        "note": device.note,
        "check": f"{device.check_kind} {device.check_port}",
        "services": _describe([_ports(service) for service in services]),
    }


def _ports(service: Service) -> Ports:
    return Ports(service.name, service.protocol, service.first_port, service.last_port)  # type: ignore[arg-type]


def _all(sight: Sight) -> Select[tuple[Device, Appliance, str]]:
    return (
        select(Device, Appliance, Domain.path)
        .join(Appliance, Appliance.id == Device.appliance_id)
        .join(Domain, Domain.id == Appliance.domain_id)
        .where(sight.devices())
    )


def _views(session: Session, sight: Sight, found: Sequence[DeviceFound]) -> tuple[DeviceView, ...]:
    services: dict[str, list[ServicePorts]] = {}
    query = select(Service).where(Service.device_id.in_([item.record.id for item in found]))
    for service in session.scalars(query.order_by(Service.name, Service.protocol, Service.first_port)):
        ports = _ports(service)
        services.setdefault(service.device_id, []).append(
            ServicePorts(ports.name, ports.protocol, ports.first_port, ports.last_port)
        )
    network = virtual_network(session)
    return tuple(
        _view(item, services.get(item.record.id, []), sight, virtual_address(network, item.record.virtual_number))
        for item in found
    )


def _view(found: DeviceFound, services: list[ServicePorts], sight: Sight, virtual: str) -> DeviceView:
    device, owner = found.record, found.appliance
    whole = sight.is_whole(owner.domain)
    if not whole:
        names = sight.services(owner.domain, device.appliance_id, device.id)
        services = [service for service in services if names is None or service.name in names]
    return DeviceView(
        id=device.id,
        appliance_id=device.appliance_id,
        appliance=owner.path,
        name=device.name,
        path=found.path,
        address=device.address,
        serial_port=device.serial_port,
        serial_settings=device.serial_settings,
        virtual_address=virtual,
        mac=device.mac if whole else "",
        preset=device.preset,
        vendor=device.vendor,
        model=device.model,
        note=device.note if whole else "",
        check_kind=device.check_kind,  # type: ignore[arg-type]  # one of these words
        check_port=device.check_port,
        reachable=device.reachable,
        checked_at=device.checked_at,
        check_text=device.check_text,
        services=tuple(services),
        limited=not whole,
    )

"""Devices behind an appliance and their services.

All of an appliance's devices must fit into one message of the control protocol (``MAX_DEVICES_BYTES``): checked here,
when something is added, so that no session fails later.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec
from sqlalchemy import select
from sqlalchemy.orm import Session

from gatelink.exceptions import InputError
from gatelink.messages import DeviceAccess
from gatelink.messages import Service as Ports
from gatelink.serial_lines import parse_line
from gm_server.database.tables import Appliance, Device, Service
from gm_server.exceptions import Conflict, NotFound
from gm_server.ids import new_id
from gm_server.names import check_device_address, check_name, split_path

from .registry import get_appliance
from .virtual import free_number, virtual_address, virtual_network

MAX_DEVICES_BYTES: Final = 40 * 1024
MAX_DEVICES: Final = 512
MAX_SERVICES: Final = 64


def add_device(
    session: Session, appliance_reference: str, name: str, address: str | None, serial_port: str | None = None
) -> Device:
    """Add a device, or a serial port of the appliance itself, to an appliance; it has no services yet."""
    appliance = get_appliance(session, appliance_reference)
    name, address, serial_port = check_place(session, appliance, name, address, serial_port)
    device = Device(
        id=new_id("dev"),
        appliance_id=appliance.id,
        name=name,
        address=address,
        serial_port=serial_port,
        virtual_number=free_number(session),
    )
    session.add(device)
    session.flush()
    check_fits(session, appliance)
    return device


def check_place(
    session: Session,
    appliance: Appliance,
    name: str,
    address: str | None,
    serial_port: str | None,
    but: str | None = None,
) -> tuple[str, str | None, str | None]:
    """Return a device's name, address and port as they are kept; raises Conflict if another device (not ``but``, an
    id) has one of them.
    """
    name = check_name(name, "a device")
    if (address is None) == (serial_port is None):
        raise InputError("a device has either an address or a serial port")
    address = check_device_address(address) if address is not None else None
    serial_port = check_name(serial_port, "a serial port") if serial_port is not None else None
    for other in _devices_of(session, appliance.id):
        if other.id == but:
            continue
        if other.name == name:
            raise Conflict(f"the appliance {appliance.name} has a device {name} already")
        if address is not None and other.address == address:
            raise Conflict(f"the appliance {appliance.name} has a device with {address} already: {other.name}")
        if serial_port is not None and other.serial_port == serial_port:
            raise Conflict(f"the appliance {appliance.name} has a device on {serial_port} already: {other.name}")
    return name, address, serial_port


def get_device(session: Session, reference: str) -> Device:
    """Return a device by its path (``domain/.../appliance/device``) or id; raises NotFound."""
    device = session.get(Device, reference) if "/" not in reference else None
    if device is None and "/" in reference:
        appliance_reference, name = split_path(reference, "a device")
        appliance = get_appliance(session, appliance_reference)
        query = select(Device).where(Device.appliance_id == appliance.id, Device.name == name)
        device = session.scalars(query).one_or_none()
    if device is None:
        raise NotFound(f"there is no device {reference}; `gm devices list` shows all")
    return device


def list_devices(session: Session, appliance_id: str) -> Sequence[DeviceAccess]:
    """Return an appliance's devices with all their services, by name."""
    return devices_by_appliance(session, [appliance_id]).get(appliance_id, ())


def devices_by_appliance(
    session: Session, appliance_ids: Sequence[str] | None = None
) -> dict[str, tuple[DeviceAccess, ...]]:
    """Return the devices of these appliances (None: of all) with all their services."""
    devices_query = select(Device).order_by(Device.name)
    services_query = select(
        Service.device_id, Service.name, Service.protocol, Service.first_port, Service.last_port
    ).order_by(Service.name, Service.protocol, Service.first_port)
    if appliance_ids is not None:
        devices_query = devices_query.where(Device.appliance_id.in_(appliance_ids))
        services_query = services_query.join(Device, Device.id == Service.device_id)
        services_query = services_query.where(Device.appliance_id.in_(appliance_ids))
    services: dict[str, list[Ports]] = {}
    for device_id, name, protocol, first_port, last_port in session.execute(services_query):
        services.setdefault(device_id, []).append(Ports(name, protocol, first_port, last_port))
    devices: dict[str, list[DeviceAccess]] = {}
    network = virtual_network(session)
    for device in session.scalars(devices_query):
        access = DeviceAccess(
            device_id=device.id,
            name=device.name,
            address=device.address or "",
            services=tuple(services.get(device.id, ())),
            virtual_address=virtual_address(network, device.virtual_number),
            serial_port=device.serial_port or "",
            mac=device.mac,
            line=parse_line(device.serial_settings) if device.serial_settings else None,
        )
        devices.setdefault(device.appliance_id, []).append(access)
    return {appliance_id: tuple(found) for appliance_id, found in devices.items()}


def remove_device(session: Session, reference: str) -> None:
    """Remove a device with its services and the grants for it."""
    session.delete(get_device(session, reference))
    session.flush()


def add_services(session: Session, device_reference: str, services: Sequence[Ports]) -> Device:
    """Add services to a device."""
    device = get_device(session, device_reference)
    present = session.scalars(select(Service).where(Service.device_id == device.id)).all()
    taken = {(service.name, service.protocol, service.first_port) for service in present}
    for ports in services:
        name = check_name(ports.name, "a service")
        if (name, ports.protocol, ports.first_port) in taken:
            raise Conflict(f"the device {device.name} has this service already: {describe_ports(ports)}")
        taken.add((name, ports.protocol, ports.first_port))
        session.add(
            Service(
                id=new_id("svc"),
                device_id=device.id,
                name=name,
                protocol=ports.protocol,
                first_port=ports.first_port,
                last_port=ports.last_port,
            )
        )
    session.flush()
    check_fits(session, session.get_one(Appliance, device.appliance_id))
    return device


def remove_service(session: Session, device_reference: str, name: str) -> None:
    """Remove a service (all its ports) from a device."""
    device = get_device(session, device_reference)
    found = session.scalars(select(Service).where(Service.device_id == device.id, Service.name == name)).all()
    if not found:
        raise NotFound(f"the device {device.name} has no service {name}")
    for service in found:
        session.delete(service)
    session.flush()


def describe_ports(ports: Ports) -> str:
    """Return a service for people: ``modbus tcp/502``."""
    if ports.protocol == "icmp":
        return f"{ports.name} icmp"
    last = f"-{ports.last_port}" if ports.last_port != ports.first_port else ""
    return f"{ports.name} {ports.protocol}/{ports.first_port}{last}"


def _devices_of(session: Session, appliance_id: str) -> Sequence[Device]:
    return session.scalars(select(Device).where(Device.appliance_id == appliance_id)).all()


def check_fits(session: Session, appliance: Appliance) -> None:
    """Raise Conflict if an appliance's devices are more than one message can hold."""
    devices = list_devices(session, appliance.id)
    most = max((len(device.services) for device in devices), default=0)
    if len(devices) > MAX_DEVICES or most > MAX_SERVICES:
        raise Conflict(f"an appliance can have {MAX_DEVICES} devices, a device {MAX_SERVICES} services")
    if len(msgspec.msgpack.encode(devices)) > MAX_DEVICES_BYTES:
        raise Conflict(f"the appliance {appliance.name} has too many devices and services for one session")

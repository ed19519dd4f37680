"""Which devices an appliance checks, and what it found."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Final, Literal, get_args

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from gatelink.exceptions import InputError
from gatelink.messages import DeviceState
from gatelink.messages.appliance import DeviceWatch
from gm_server.database.tables import Device, Service
from gm_server.names import printable

from .devices import get_device

CheckKind = Literal["ping", "tcp", "modbus", "none"]
_PORTS: Final = {"modbus": 502}


def set_check(session: Session, reference: str, kind: CheckKind, port: int = 0) -> Device:
    """Say how a device is checked; port 0 is the kind's usual one. Raises InputError, NotFound."""
    device = get_device(session, reference)
    port = port or _PORTS.get(kind, 0)
    if kind not in get_args(CheckKind):
        raise InputError(f"a check is one of {', '.join(get_args(CheckKind))}, got {kind[:20]!r}")
    if kind == "tcp" and not 1 <= port <= 65535:
        raise InputError("a tcp check needs a port from 1 to 65535")
    if device.address is None and kind != "none":
        raise InputError(f"{device.name} is a serial port: it cannot be checked without disturbing what is on it")
    device.check_kind, device.check_port = kind, port if kind in ("tcp", "modbus") else 0
    device.reachable = device.checked_at = None
    device.check_text = ""
    session.flush()
    return device


def watches(session: Session, appliance_ids: Collection[str]) -> dict[str, tuple[DeviceWatch, ...]]:
    """Return what each of these appliances is to check. Devices without any service are not: nobody may reach them."""
    query = (
        select(Device.appliance_id, Device.id, Device.address, Device.check_kind, Device.check_port)
        .where(Device.appliance_id.in_(appliance_ids), Device.check_kind != "none", Device.address.is_not(None))
        .where(Device.id.in_(select(Service.device_id)))
        .order_by(Device.id)
    )
    found: dict[str, list[DeviceWatch]] = {appliance_id: [] for appliance_id in appliance_ids}
    for appliance_id, device_id, address, kind, port in session.execute(query):
        found[appliance_id].append(DeviceWatch(device_id, address, kind, port))
    return {appliance_id: tuple(devices) for appliance_id, devices in found.items()}


def note_states(session: Session, appliance_id: str, states: Sequence[DeviceState]) -> bool:
    """Keep what an appliance found about its own devices; another one's are none of its business.

    Return whether one is reached now that was not, or the other way round.
    """
    query = select(Device.id, Device.reachable).where(
        Device.appliance_id == appliance_id, Device.id.in_([state.device_id for state in states])
    )
    before = dict(session.execute(query).tuples().all())
    for state in states:
        session.execute(
            update(Device)
            .where(Device.id == state.device_id, Device.appliance_id == appliance_id)
            .values(reachable=state.reachable, checked_at=state.checked_at, check_text=printable(state.text))
        )
    return any(state.device_id in before and before[state.device_id] != state.reachable for state in states)


def states_by_appliance(session: Session, appliance_ids: Collection[str]) -> dict[str, tuple[DeviceState, ...]]:
    """Return the last findings about devices that were ever checked."""
    query = (
        select(Device.appliance_id, Device.id, Device.reachable, Device.checked_at, Device.check_text)
        .where(Device.appliance_id.in_(appliance_ids), Device.checked_at.is_not(None))
        .order_by(Device.id)
    )
    found: dict[str, list[DeviceState]] = {}
    for appliance_id, device_id, reachable, checked_at, text in session.execute(query):
        found.setdefault(appliance_id, []).append(DeviceState(device_id, reachable, checked_at, text))
    return {appliance_id: tuple(states) for appliance_id, states in found.items()}

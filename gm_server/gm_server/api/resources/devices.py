"""Devices, their services, and presets of services."""

from __future__ import annotations

from typing import Annotated, Final

import msgspec
from msgspec import Meta
from sqlalchemy.orm import Session

from gatelink.messages.appliance import FoundDevice
from gm_server.acts import devices, scans
from gm_server.acts.devices import DeviceChange, DeviceView, NewDevice, ServicePorts
from gm_server.acts.paging import Page, Paging
from gm_server.api.endpoints import Call, Endpoint
from gm_server.appliances.presets import presets
from gm_server.service.live import Live

from .places import Reference

Services = Annotated[tuple[ServicePorts, ...], Meta(max_length=64)]


class DeviceQuery(Paging, frozen=True, forbid_unknown_fields=True):
    """Which devices."""

    appliance: Reference = ""
    domain: Reference = ""
    reachable: bool | None = None


class ScanView(msgspec.Struct, frozen=True):
    """What an appliance found in its device network. Texts are what devices say of themselves."""

    running: bool
    at: float | None
    """When it began, or what it found came; None: it never looked."""
    found: tuple[FoundDevice, ...]
    text: str
    """Why it found nothing."""


class PresetView(msgspec.Struct, frozen=True):
    """Services that belong to a vendor's family."""

    name: str
    services: tuple[ServicePorts, ...]


def _presets() -> tuple[PresetView, ...]:
    return tuple(
        PresetView(
            name,
            tuple(ServicePorts(ports.name, ports.protocol, ports.first_port, ports.last_port) for ports in services),
        )
        for name, services in presets().items()
    )


def _start_scan(session: Session, call: Call) -> str:
    appliance_id = scans.scanned(session, call.by, call.id)
    scans.start_scan(session, call.by, appliance_id, call.now)
    return appliance_id


def _scan_started(live: Live, appliance_id: str) -> ScanView:
    live.start_scan(appliance_id)
    return _scan(live, appliance_id)


def _scan(live: Live, appliance_id: str) -> ScanView:
    state = live.scan(appliance_id)
    return (
        ScanView(False, None, (), "") if state is None else ScanView(state.running, state.at, state.found, state.text)
    )


ENDPOINTS: Final = (
    Endpoint(
        method="POST",
        path="/appliances/{appliance_id}/scan",
        name="startScan",
        summary="Let an appliance look for devices",
        tag="Devices",
        scope="change",
        answer=ScanView,
        work=_start_scan,
        finish=_scan_started,
    ),
    Endpoint(
        method="GET",
        path="/appliances/{appliance_id}/scan",
        name="getScan",
        summary="Read what an appliance found",
        tag="Devices",
        scope="change",
        answer=ScanView,
        work=lambda session, call: scans.scanned(session, call.by, call.id),
        finish=_scan,
    ),
    Endpoint(
        method="GET",
        path="/devices",
        name="listDevices",
        summary="List devices",
        tag="Devices",
        scope="read",
        query=DeviceQuery,
        answer=Page[DeviceView],
        work=lambda session, call: devices.list_devices(
            session,
            call.by,
            call.query,
            call.now,
            appliance=call.query.appliance,
            domain=call.query.domain,
            reachable=call.query.reachable,
        ),
    ),
    Endpoint(
        method="POST",
        path="/appliances/{appliance_id}/devices",
        name="addDevice",
        summary="Add a device to an appliance",
        tag="Devices",
        scope="change",
        body=NewDevice,
        answer=DeviceView,
        created="/devices/{id}",
        work=lambda session, call: devices.add_device(session, call.by, call.id, call.body, call.now),
    ),
    Endpoint(
        method="GET",
        path="/devices/{device_id}",
        name="getDevice",
        tagged=True,
        summary="Read a device",
        tag="Devices",
        scope="read",
        answer=DeviceView,
        work=lambda session, call: devices.get_device(session, call.by, call.id, call.now),
    ),
    Endpoint(
        method="PATCH",
        path="/devices/{device_id}",
        name="changeDevice",
        summary="Change a device",
        tag="Devices",
        scope="change",
        body=DeviceChange,
        answer=DeviceView,
        current=lambda session, call: devices.get_device(session, call.by, call.id, call.now),
        work=lambda session, call: devices.change_device(session, call.by, call.id, call.body, call.now),
    ),
    Endpoint(
        method="PUT",
        path="/devices/{device_id}/services",
        name="setServices",
        summary="Let a device have exactly these services",
        tag="Devices",
        scope="change",
        body=Services,
        answer=DeviceView,
        current=lambda session, call: devices.get_device(session, call.by, call.id, call.now),
        work=lambda session, call: devices.change_device(
            session, call.by, call.id, DeviceChange(services=call.body), call.now
        ),
    ),
    Endpoint(
        method="DELETE",
        path="/devices/{device_id}",
        name="removeDevice",
        summary="Remove a device with its services and grants",
        tag="Devices",
        scope="change",
        current=lambda session, call: devices.get_device(session, call.by, call.id, call.now),
        work=lambda session, call: devices.remove_device(session, call.by, call.id, call.now),
    ),
    Endpoint(
        method="GET",
        path="/presets",
        name="listPresets",
        summary="List presets of services",
        tag="Devices",
        scope="read",
        answer=tuple[PresetView, ...],
        work=lambda _session, _call: _presets(),
    ),
)

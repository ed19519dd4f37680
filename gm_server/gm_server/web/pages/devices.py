"""Devices and their services; scans of what is there."""

from __future__ import annotations

from typing import Any, Final

from starlette.responses import Response

from gatelink.exceptions import GatelinkError
from gatelink.messages import Service as Ports
from gm_server.access.actors import Permission
from gm_server.acts import appliances as appliance_acts
from gm_server.acts import devices as acts
from gm_server.acts import history
from gm_server.acts import scans as scan_acts
from gm_server.acts.devices import DeviceChange, NewDevice, ServicePorts
from gm_server.acts.paging import Paging
from gm_server.appliances import presets
from gm_server.web.forms import Form, convert
from gm_server.web.visits import Visit

GET: Final = ["GET"]
BOTH: Final = ["GET", "POST"]
POST: Final = ["POST"]


async def index(visit: Visit) -> Response:
    """Show the devices of all appliances."""
    state = visit.query.text("state")
    reachable = {"good": True, "bad": False}.get(state)
    page = await visit.read(acts.list_devices, visit.paging(), visit.now, reachable=reachable)
    return visit.show("devices.html", page=page, state=state)


async def show(visit: Visit) -> Response:
    """Show one device."""
    return await _show(visit, await visit.read(acts.get_device, visit.name(), visit.now))


async def _show(visit: Visit, device: acts.DeviceView, error: GatelinkError | None = None) -> Response:
    values: dict[str, Any] = {
        "device": device,
        "presets": presets.library(),
        "may_change": visit.may_change(device.appliance.rpartition("/")[0]),
        "describe": describe,
    }
    if error is not None:
        return visit.again("device.html", error, **values)
    return visit.show("device.html", **values)


async def add(visit: Visit) -> Response:
    """Add a device to an appliance: typed, or taken from a scan."""
    appliance = await visit.read(appliance_acts.get_appliance, visit.name(), visit.now)
    visit.by.must(Permission.CHANGE, appliance.domain, "such page")
    values: dict[str, Any] = {
        "appliance": appliance,
        "presets": presets.library(),
        "status": history.status_in(appliance.status),
    }
    if not visit.is_post:
        return visit.show("device_add.html", **values)
    try:
        new = convert(_typed(visit.form), NewDevice)
        device = await visit.write(acts.add_device, appliance.id, new, visit.now)
    except GatelinkError as error:
        return visit.again("device_add.html", error, **values)
    return visit.to(f"/devices/{device.id}", "device-added")


def _typed(form: Form) -> dict[str, Any]:
    serial = form.text("kind") == "serial"
    return {
        "name": form.text("name"),
        "address": None if serial else form.text("address"),
        "serial_port": form.text("serial_port") if serial else None,
        "serial_settings": form.text("serial_settings") if serial else "",
        "preset": form.text("preset"),
        "mac": form.text("mac").lower().replace("-", ":"),
        "vendor": form.text("vendor"),
        "model": form.text("model"),
        "note": form.text("note").replace("\r\n", "\n"),
        "check_kind": "none" if serial else form.text("check_kind", "ping"),
        "check_port": form.number("check_port", "the port of the check") or 0,
    }


async def edit(visit: Visit) -> Response:
    """Change a device."""
    device = await visit.read(acts.get_device, visit.name(), visit.now)
    visit.by.must(Permission.CHANGE, device.appliance.rpartition("/")[0], "such page")
    if not visit.is_post:
        return visit.show("device_edit.html", device=device)
    fields = _typed(visit.form)
    fields.pop("preset")
    fields |= {"address": device.address and visit.form.text("address"), "serial_port": device.serial_port}
    if device.serial_port:
        fields |= {"serial_settings": visit.form.text("serial_settings"), "check_kind": device.check_kind}
    try:
        await visit.write(acts.change_device, device.id, convert(fields, DeviceChange), visit.now)
    except GatelinkError as error:
        return visit.again("device_edit.html", error, device=device)
    return visit.to(f"/devices/{device.id}", "saved")


async def add_service(visit: Visit) -> Response:
    """Add the services of a preset, or one that is typed."""
    device = await visit.read(acts.get_device, visit.name(), visit.now)
    form = visit.form
    try:
        services = presets.preset(form.text("preset")) if form.text("preset") else _typed_service(form)
        await visit.write(acts.add_services, device.id, services, visit.now)
    except GatelinkError as error:
        return await _show(visit, device, error)
    return visit.to(f"/devices/{device.id}", "service-added")


def _typed_service(form: Form) -> list[Ports]:
    first, _, last = form.text("ports").partition("-")
    fields = {"name": form.text("name"), "protocol": form.text("protocol"), "first_port": first, "last_port": last}
    kept = {key: value.strip() for key, value in fields.items() if value.strip()}
    ports: dict[str, Any] = {
        key: int(value) if key.endswith("port") and value.isascii() and value.isdigit() else value
        for key, value in kept.items()
    }
    return [acts.check_service(convert(ports, ServicePorts))]


async def remove_service(visit: Visit) -> Response:
    """Remove a service."""
    device = await visit.write(acts.remove_service, visit.name(), visit.form.text("name"), visit.now)
    return visit.to(f"/devices/{device.id}", "service-removed")


async def remove(visit: Visit) -> Response:
    """Ask, then remove."""
    device = await visit.read(acts.get_device, visit.name(), visit.now)
    if not visit.is_post:
        return visit.ask("device-remove", device.path, f"/devices/{device.id}")
    await visit.write(acts.remove_device, device.id, visit.now)
    return visit.to(f"/appliances/{device.appliance_id}", "device-removed")


async def scan(visit: Visit) -> Response:
    """Let an appliance look around, and show what it found."""
    appliance = await visit.read(appliance_acts.get_appliance, visit.name(), visit.now)
    visit.by.must(Permission.CHANGE, appliance.domain, "such page")
    if visit.is_post:
        await visit.write(scan_acts.start_scan, appliance.id, visit.now)
        visit.live.start_scan(appliance.id)
        return visit.to(f"/appliances/{appliance.id}/scan", "scan-started")
    page = await visit.read(acts.list_devices, Paging(limit=500), visit.now, appliance=appliance.id)
    known = {device.address: device for device in page.items}
    online = visit.live.appliance(appliance.id) is not None
    return visit.show("scan.html", appliance=appliance, scan=visit.live.scan(appliance.id), known=known, online=online)


def describe(service: ServicePorts) -> str:
    """Return a service's ports for people: ``tcp 502``."""
    if service.protocol == "icmp":
        return "icmp"
    if service.protocol == "ethernet":
        return f"ethernet 0x{service.first_port:04x}"
    last = f"–{service.last_port}" if service.last_port > service.first_port else ""
    return f"{service.protocol} {service.first_port}{last}"


PAGES: Final = (
    ("/devices", index, GET),
    ("/devices/{id}", show, GET),
    ("/devices/{id}/edit", edit, BOTH),
    ("/devices/{id}/remove", remove, BOTH),
    ("/devices/{id}/services/add", add_service, POST),
    ("/devices/{id}/services/remove", remove_service, POST),
    ("/appliances/{id}/devices/add", add, BOTH),
    ("/appliances/{id}/scan", scan, BOTH),
)

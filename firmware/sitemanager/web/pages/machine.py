"""What is at the machine: devices with their state, and serial ports with their settings."""

from __future__ import annotations

from typing import Any, Final

from starlette.responses import Response

from sitemanager.core.device_requests import DevicesAnswer, DevicesRequest
from sitemanager.core.local_requests import ConfigAnswer, ConfigRequest, StatusRequest
from sitemanager.core.serial_requests import SerialPortsAnswer, SerialPortsRequest
from sitemanager.core.status import Status
from sitemanager.web.daemon import NotDone
from sitemanager.web.forms import Form
from sitemanager.web.visit import Visit

from .trial import try_values

SCAN_S: Final = 115.0
BAUDS: Final = (1200, 2400, 4800, 9600, 19200, 38400, 57600, 115200)


async def devices(visit: Visit) -> Response:
    """The devices as the GateManager told them, green or red; and a look for others."""
    scan, error = None, ""
    if visit.request.method == "POST":
        # What devices say of themselves needs many more modules: loaded by who looks.
        from sitemanager.core.scan_requests import ScanAnswer, ScanRequest

        await visit.read()
        try:
            scan = await visit.ask(ScanRequest(), ScanAnswer, timeout_s=SCAN_S)
        except NotDone as refused:
            error = str(refused)
    answer = await visit.ask(DevicesRequest(), DevicesAnswer)
    now = await visit.ask(StatusRequest(), Status)
    status = 409 if error else 200
    return await visit.page("devices.html", status=status, now=now, devices=answer.devices, scan=scan, error=error)


async def serial(visit: Visit) -> Response:
    """The ports there are, and what is set for them."""
    config = await visit.ask(ConfigRequest(), ConfigAnswer)
    entries, error = list(config.values.get("serial", ())), ""
    if visit.request.method == "POST":
        form = await visit.read()
        changed = [entry for entry in entries if entry["name"] != form.text("name")]
        if form.text("choice") != "remove":
            changed.append({**_known(entries, form.text("name")), **typed(form)})
        try:
            return await try_values(visit, {"serial": changed}, "/serial")
        except NotDone as refused:
            error = str(refused)
    answer = await visit.ask(SerialPortsRequest(), SerialPortsAnswer)
    names = {entry["device"] or entry["name"] for entry in entries}
    unused = [port for port in answer.ports if port.name not in names]
    status = 409 if error else 200
    return await visit.page(
        "serial.html", status=status, ports=answer.ports, entries=entries, unused=unused, bauds=BAUDS, error=error
    )


def typed(form: Form) -> dict[str, Any]:
    """Return the settings in the form."""
    return {
        "name": form.text("name"),
        "device": form.text("device"),
        "baud": form.number("baud"),
        "data_bits": form.number("data_bits"),
        "parity": form.text("parity"),
        "stop_bits": form.number("stop_bits"),
        "rs485": form.text("rs485"),
        "framing": form.text("framing"),
    }


def _known(entries: list[dict[str, Any]], name: str) -> dict[str, Any]:
    return next((entry for entry in entries if entry["name"] == name), {})


ROUTES: Final = (
    ("/devices", ["GET", "POST"], devices),
    ("/serial", ["GET", "POST"], serial),
)

"""The devices, one by one."""

from __future__ import annotations

from sitemanager.core.device_requests import CheckedDevice
from sitemanager.core.diagnosis import Finding


def devices(checked: tuple[CheckedDevice, ...]) -> tuple[Finding, ...]:
    """Say of each device that the GateManager wants checked what the last check found."""
    if not checked:
        return (Finding("devices", "unknown", "the GateManager named no devices to check"),)
    return tuple(_device(device) for device in checked)


def _device(device: CheckedDevice) -> Finding:
    text = f"{device.address} ({device.check}): {device.text}"
    if device.reachable is None:
        return Finding("device", "unknown", text)
    if device.reachable:
        return Finding("device", "good", text)
    return Finding("device", "fault", text, _next_step(device.text))


def _next_step(text: str) -> str:
    if "nothing listens" in text:
        return "the device is there: is the service switched on in it, and the port right?"
    if "no Modbus" in text or "not answer Modbus" in text:
        return "something is at this address, but is it the device that is meant?"
    return "is it on, its cable in, its address and network mask right? sm scan shows who is there"

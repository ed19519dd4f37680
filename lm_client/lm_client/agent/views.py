"""What the GateManager tells, as the commands show it."""

from __future__ import annotations

from collections.abc import Sequence

from gatelink import messages
from gatelink.identity import fingerprint_text
from gatelink.pins import Pin
from lm_client.core.local import ApplianceView, DeviceView, PinView, ServiceView


def appliance_view(appliance: messages.ApplianceView) -> ApplianceView:
    """Return an appliance with its devices."""
    devices = device_views(appliance.devices)
    return ApplianceView(appliance.appliance_id, appliance.domain, appliance.name, appliance.online, devices)


def device_views(devices: Sequence[messages.DeviceAccess]) -> tuple[DeviceView, ...]:
    """Return devices with their services."""
    return tuple(
        DeviceView(device.device_id, device.name, device.address, tuple(map(_service_view, device.services)))
        for device in devices
    )


def pin_view(pin: Pin) -> PinView:
    """Return what people compare."""
    return PinView(pin.serial, fingerprint_text(pin.key_sha256), pin.how)


def _service_view(service: messages.Service) -> ServiceView:
    return ServiceView(service.name, service.protocol, service.first_port, service.last_port)

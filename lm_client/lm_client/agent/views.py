"""What the GateManager tells, as the commands show it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from gatelink import messages
from gatelink.identity import fingerprint_text
from gatelink.pins import Pin
from lm_client.core.addressing import Choice
from lm_client.core.local import ApplianceView, DeviceView, PinView, ServiceView

from .addresses import AddressBook

_UNKNOWN = Choice("", "")


def appliance_view(
    appliance: messages.ApplianceView, book: AddressBook, choices: Mapping[str, Choice]
) -> ApplianceView:
    """Return an appliance with its devices."""

    def views(devices: Sequence[messages.DeviceAccess]) -> tuple[DeviceView, ...]:
        return device_views(devices, appliance.domain, appliance.name, book, choices, appliance.states)

    return ApplianceView(
        appliance_id=appliance.appliance_id,
        domain=appliance.domain,
        name=appliance.name,
        online=appliance.online,
        devices=views(appliance.devices),
        requestable=views(appliance.requestable),
        needs_reason=appliance.needs_reason,
        locked=appliance.locked,
        modes=appliance.modes,
        connected_users=appliance.connected_users,
        online_since=appliance.online_since,
    )


def device_views(
    devices: Sequence[messages.DeviceAccess],
    domain: str,
    appliance: str,
    book: AddressBook,
    choices: Mapping[str, Choice],
    states: Sequence[messages.DeviceState] = (),
    ttys: Mapping[str, str] | None = None,
) -> tuple[DeviceView, ...]:
    """Return devices with their services, addresses and names."""
    checks = {state.device_id: state for state in states}
    found = []
    for device in devices:
        choice = choices.get(device.device_id, _UNKNOWN)
        check = checks.get(device.device_id)
        found.append(
            DeviceView(
                device_id=device.device_id,
                name=device.name,
                address=device.address,
                services=tuple(map(_service_view, device.services)),
                use=choice.address,
                hostname=book.name_of(device, domain, appliance),
                why=choice.why,
                reachable=check.reachable if check else None,
                check_text=check.text if check else "",
                checked_at=check.checked_at if check else 0,
                serial_port=device.serial_port,
                tty=(ttys or {}).get(device.device_id, ""),
            )
        )
    return tuple(found)


def pin_view(pin: Pin) -> PinView:
    """Return what people compare."""
    return PinView(pin.serial, fingerprint_text(pin.key_sha256), pin.how)


def _service_view(service: messages.Service) -> ServiceView:
    return ServiceView(service.name, service.protocol, service.first_port, service.last_port)

"""Permanent relays: which of them grants allow at a moment, and what they open. No I/O.

A relay opens nothing by itself. It narrows what its user's grants open to the one port that it needs, so that its
session carries this and nothing else. Pull needs the service of the device; push needs a grant for the device that
opens all services, or names ``push`` among them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Literal

import msgspec

from gatelink.messages import DeviceAccess, Push, RelayState
from gatelink.messages import Service as Ports

from .actors import Role
from .rights import NOTHING, Appliance, Grant, Rights, decide

Direction = Literal["pull", "push"]
Condition = Literal[
    "listening", "connecting", "reconnecting", "failed", "off", "denied", "offline", "locked", "not carried", "unknown"
]
PUSH_SERVICE: Final = "push"
"""What a grant names that is limited to services and allows pushes."""
FIRST_PC_PORT: Final = 61000
"""Above what Linux gives to outgoing connections: nobody else is there by accident."""
_MAY_PUSH: Final = Ports(PUSH_SERVICE, "icmp")
"""Stands for a service in the decision; no relay has one of this kind."""


class Relay(msgspec.Struct, frozen=True):
    """A relay that is not turned off."""

    relay_id: str
    name: str
    user_id: str
    appliance_id: str
    device_id: str
    direction: Direction
    port: int
    service: str
    target_port: int


class Observed(msgspec.Struct, frozen=True):
    """What the running server sees of a relay."""

    online: bool
    """Of the appliance."""
    locked: bool
    told: RelayState | None
    """By the LinkManager that carries it; None if there is none."""


def relay_rights(
    grants: Sequence[Grant],
    appliance: Appliance,
    relays: Sequence[Relay],
    now: float,
    roles: tuple[Role, ...] = (),
) -> Rights:
    """Return what a session for these relays may do: each granted relay's port, nothing else."""
    of_device: dict[str, list[Relay]] = {}
    for relay in relays:
        if relay.appliance_id == appliance.appliance_id:
            of_device.setdefault(relay.device_id, []).append(relay)
    asked = tuple(
        msgspec.structs.replace(device, services=_services(device, of_device[device.device_id]))
        for device in appliance.devices
        if device.device_id in of_device
    )
    if not asked:
        return NOTHING
    rights = decide(grants, msgspec.structs.replace(appliance, devices=asked), now, roles=roles)
    devices = tuple(_opened(device, of_device[device.device_id]) for device in rights.devices)
    return msgspec.structs.replace(rights, devices=devices, bridged=False, needs_reason=False)


def is_open(relay: Relay, rights: Rights) -> bool:
    """Whether a relay works within these rights."""
    return any(
        any(push.relay_id == relay.relay_id for push in device.pushes)
        if relay.direction == "push"
        else any(_is_port(ports, relay) for ports in device.services)
        for device in rights.devices
        if device.device_id == relay.device_id
    )


def condition(*, enabled: bool, allowed: bool, observed: Observed | None) -> tuple[Condition, str]:
    """Return how a relay is, the first obstacle first, and a text for people."""
    if not enabled:
        return "off", "turned off"
    if not allowed:
        return "denied", "no grant of its user opens this now"
    if observed is None:
        return "unknown", "the GateManager does not run"
    if not observed.online:
        return "offline", "the appliance is not connected"
    if observed.locked:
        return "locked", "remote access is locked at the machine"
    if observed.told is None:
        return "not carried", "no LinkManager of its user carries relays: `lm agent` with relays turned on"
    return observed.told.condition, observed.told.text


def _services(device: DeviceAccess, relays: Sequence[Relay]) -> tuple[Ports, ...]:
    pulls = {
        Ports(ports.name, "tcp", relay.target_port, relay.target_port): None
        for relay in relays
        for ports in device.services
        if relay.direction == "pull" and _is_port(ports, relay)
    }
    pushes = device.address and any(relay.direction == "push" for relay in relays)
    return (*pulls, *((_MAY_PUSH,) if pushes else ()))


def _opened(device: DeviceAccess, relays: Sequence[Relay]) -> DeviceAccess:
    pushes = [relay for relay in relays if relay.direction == "push" and _MAY_PUSH in device.services]
    return msgspec.structs.replace(
        device,
        services=tuple(ports for ports in device.services if ports != _MAY_PUSH),
        pushes=tuple(Push(relay.relay_id, relay.port, relay.target_port) for relay in pushes),
    )


def _is_port(ports: Ports, relay: Relay) -> bool:
    named = ports.name == relay.service and ports.protocol == "tcp"
    return named and ports.first_port <= relay.target_port <= ports.last_port

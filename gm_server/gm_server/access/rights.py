"""Decides from grants what a user may reach behind an appliance at a moment. No I/O: time comes in as ``now``.

A grant counts while ``valid_from <= now < valid_until``. It covers a device if it names the device, its appliance, or a
domain in which the appliance lies at any depth. It opens every service of the device, or those it names. Grants only
ever add up; what no grant opens is closed.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

import msgspec

from gatelink.messages import DeviceAccess, DeviceState
from gatelink.messages.shapes import Mode


class Grant(msgspec.Struct, frozen=True):
    """One grant of the user in question that was not ended; exactly one target is set."""

    domain: str | None = None
    """Path of the domain."""
    appliance_id: str | None = None
    device_id: str | None = None
    services: frozenset[str] | None = None
    """Names; None opens all."""
    valid_from: float | None = None
    valid_until: float | None = None
    bridged: bool = False
    """Whether it allows bridged sessions."""

    def is_valid(self, now: float) -> bool:
        """Whether it counts at ``now``."""
        begun = self.valid_from is None or self.valid_from <= now
        return begun and (self.valid_until is None or now < self.valid_until)

    def covers(self, appliance: Appliance, device: DeviceAccess) -> bool:
        """Whether the device is (within) its target."""
        if self.domain is not None:
            return appliance.domain == self.domain or appliance.domain.startswith(self.domain + "/")
        if self.appliance_id is not None:
            return self.appliance_id == appliance.appliance_id
        return self.device_id is not None and self.device_id == device.device_id


class Appliance(msgspec.Struct, frozen=True):
    """An appliance with its devices and all their services."""

    appliance_id: str
    domain: str
    name: str
    certificate: bytes | None
    """None until it is enrolled."""
    devices: tuple[DeviceAccess, ...]
    states: tuple[DeviceState, ...] = ()
    """What it found of them last."""


class Rights(msgspec.Struct, frozen=True):
    """What may be reached now. No device: nothing."""

    devices: tuple[DeviceAccess, ...]
    ends_at: float | None
    """When the last grant that counts now ends; None if one of them has no end."""
    changes_at: float | None
    """When to decide again although nothing was changed: a grant begins or ends."""
    bridged: bool = False
    """Whether a session may be bridged: one of the grants that count says so."""

    @property
    def modes(self) -> tuple[Mode, ...]:
        """The modes of sessions that are allowed."""
        return ("routed", "bridged") if self.bridged else ("routed",)


def decide(
    grants: Sequence[Grant], appliance: Appliance, now: float, device_ids: Collection[str] | None = None
) -> Rights:
    """Return the rights under ``grants``, limited to ``device_ids`` if these are given."""
    wanted = frozenset(device_ids or ())
    devices: list[DeviceAccess] = []
    counting: dict[int, Grant] = {}
    moments: set[float] = set()
    for device in appliance.devices:
        if wanted and device.device_id not in wanted:
            continue
        covering = [grant for grant in grants if grant.covers(appliance, device)]
        moments.update(_moments(covering, now))
        valid = [grant for grant in covering if grant.is_valid(now)]
        services = tuple(
            service
            for service in device.services
            if any(grant.services is None or service.name in grant.services for grant in valid)
        )
        if services:
            counting.update((id(grant), grant) for grant in valid)
            devices.append(msgspec.structs.replace(device, services=services))
    ends = [grant.valid_until for grant in counting.values()]
    ends_at = None if not ends or None in ends else max(end for end in ends if end is not None)
    bridged = any(grant.bridged for grant in counting.values())
    return Rights(tuple(devices), ends_at, min(moments, default=None), bridged)


def _moments(grants: Sequence[Grant], now: float) -> set[float]:
    """Return when, after ``now``, one of these grants begins or ends."""
    bounds = {bound for grant in grants for bound in (grant.valid_from, grant.valid_until)}
    return {bound for bound in bounds if bound is not None and bound > now}

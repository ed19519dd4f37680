"""Decides from grants what a user may reach behind an appliance at a moment. No I/O: time comes in as ``now``.

A grant counts while ``valid_from <= now < valid_until`` and, if it has weekly windows, while one of them is open. It
covers a device if it names the device, its appliance, or a domain in which the appliance lies at any depth. It opens
every service of the device, or those it names. Grants only ever add up; what no grant opens is closed.

A grant that needs approval opens nothing by itself, but what it holds may be asked for. An approved request becomes a
grant of its own (``is_approval``), which opens what both it and one that needs approval cover, while both count: who
loses the one loses what was approved under it.

Where somebody has roles that only watch, his grants do not count (``actors.may_use_grants``).
"""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence

import msgspec

from gatelink.messages import DeviceAccess, DeviceState
from gatelink.messages import Service as Ports
from gatelink.messages.shapes import Mode

from .actors import Role, may_use_grants
from .weeks import Weekly


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
    weekly: Weekly | None = None
    needs_reason: bool = False
    needs_approval: bool = False
    is_approval: bool = False

    def is_valid(self, now: float) -> bool:
        """Whether it counts at ``now``."""
        begun = self.valid_from is None or self.valid_from <= now
        ended = self.valid_until is not None and now >= self.valid_until
        return begun and not ended and (self.weekly is None or self.weekly.is_open(now))

    def ends_at(self, now: float) -> float:
        """Return when a grant that counts at ``now`` stops counting; infinite if it does not."""
        end = math.inf if self.valid_until is None else self.valid_until
        closes = None if self.weekly is None else self.weekly.next_change(now)
        return end if closes is None else min(end, closes)

    def changes(self, now: float) -> set[float]:
        """Return when, after ``now``, it may begin or stop to count."""
        found = {bound for bound in (self.valid_from, self.valid_until) if bound is not None and bound > now}
        change = None if self.weekly is None else self.weekly.next_change(now)
        return found if change is None else found | {change}

    def covers(self, appliance: Appliance, device: DeviceAccess) -> bool:
        """Whether the device is (within) its target."""
        if self.domain is not None:
            return appliance.domain == self.domain or appliance.domain.startswith(self.domain + "/")
        if self.appliance_id is not None:
            return self.appliance_id == appliance.appliance_id
        return self.device_id is not None and self.device_id == device.device_id

    def names(self, service: Ports) -> bool:
        """Whether the service is one of those it is for."""
        return self.services is None or service.name in self.services


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
    needs_reason: bool = False
    """Whether a session needs a reason: something is open only by a grant that asks for one."""

    @property
    def modes(self) -> tuple[Mode, ...]:
        """The modes of sessions that are allowed."""
        return ("routed", "bridged") if self.bridged else ("routed",)


NOTHING = Rights((), None, None)


def decide(
    grants: Sequence[Grant],
    appliance: Appliance,
    now: float,
    device_ids: Collection[str] | None = None,
    roles: tuple[Role, ...] = (),
) -> Rights:
    """Return the rights under ``grants``, limited to ``device_ids`` if these are given."""
    if not may_use_grants(roles, appliance.domain):
        return NOTHING
    wanted = frozenset(device_ids or ())
    devices: list[DeviceAccess] = []
    ends: list[float] = []
    changes: set[float] = set()
    bridged = needs_reason = False
    for device in appliance.devices:
        if wanted and device.device_id not in wanted:
            continue
        covering = [grant for grant in grants if grant.covers(appliance, device)]
        for grant in covering:
            changes |= grant.changes(now)
        ways = _ways([grant for grant in covering if grant.is_valid(now)])
        open_by = {
            service: [way for way in ways if all(grant.names(service) for grant in way)] for service in device.services
        }
        services = tuple(service for service in device.services if open_by[service])
        if services:
            devices.append(msgspec.structs.replace(device, services=services))
            ends += [min(grant.ends_at(now) for grant in way) for way in ways]
            bridged |= any(grant.bridged for way in ways for grant in way)
            needs_reason |= any(all(_asks(way) for way in open_by[service]) for service in services)
    end = max(ends, default=math.inf)
    return Rights(tuple(devices), None if end == math.inf else end, min(changes, default=None), bridged, needs_reason)


def requestable(
    grants: Sequence[Grant], appliance: Appliance, now: float, roles: tuple[Role, ...] = ()
) -> tuple[DeviceAccess, ...]:
    """Return what may be asked for: devices with the services that grants hold ready until somebody approves.

    A grant that begins later, or whose week is closed now, can be asked for already; one that is over cannot.
    """
    if not may_use_grants(roles, appliance.domain):
        return ()
    ready = [grant for grant in grants if grant.needs_approval and not (grant.valid_until or math.inf) <= now]
    devices: list[DeviceAccess] = []
    for device in appliance.devices:
        covering = [grant for grant in ready if grant.covers(appliance, device)]
        services = tuple(service for service in device.services if any(grant.names(service) for grant in covering))
        if services:
            devices.append(msgspec.structs.replace(device, services=services))
    return tuple(devices)


_Way = tuple[Grant, ...]


def _ways(counting: Sequence[Grant]) -> list[_Way]:
    """Return the ways in which these grants open something: one alone, or an approval with what it approves."""
    alone: list[_Way] = [(grant,) for grant in counting if not grant.needs_approval and not grant.is_approval]
    ready = [grant for grant in counting if grant.needs_approval]
    return alone + [(approval, grant) for approval in counting if approval.is_approval for grant in ready]


def _asks(way: _Way) -> bool:
    """Whether a session by this way needs a reason; what was approved has one."""
    return len(way) == 1 and way[0].needs_reason

"""Bounds the connections of strangers: in all, and from one address. No I/O: time comes in as ``now``.

When an address has all its places, or everything is full, the connection that has waited longest (when everything is
full: of the address with the most) makes room, but not before it had ``grace_s``: otherwise a thousand appliances that
come back at once would throw each other out. Until then the newcomer is turned away, or stays in the kernel's queue.
An IPv6 /64 counts as one address.
"""

from __future__ import annotations

import ipaddress
from typing import Final

GRACE_S: Final = 2.0


class Place:
    """One connection's place."""

    __slots__ = ("group", "since")

    def __init__(self, group: str, since: float) -> None:
        self.group = group
        self.since = since


class Places:
    """``total`` places, at most ``per_group`` for one address."""

    def __init__(self, total: int, per_group: int, grace_s: float | None = None) -> None:
        self._total = total
        self._per_group = min(per_group, total)
        self._grace_s = GRACE_S if grace_s is None else grace_s
        self._groups: dict[str, dict[Place, None]] = {}
        self._count = 0

    def __len__(self) -> int:
        return self._count

    @property
    def is_full(self) -> bool:
        """Whether a newcomer takes somebody else's place."""
        return self._count >= self._total

    def opens_at(self, now: float) -> float:
        """Return when a newcomer of any address can be admitted: ``now``, or when the next victim had its grace."""
        if not self.is_full:
            return now
        return max(now, self._longest_waiting(self._biggest_group()).since + self._grace_s)

    def admit(self, address: str, now: float) -> tuple[Place | None, Place | None]:
        """Return the newcomer's place (None: turned away) and the place that was taken away for it, if any."""
        group = group_of(address)
        present = self._groups.get(group, {})
        victim = None
        if len(present) >= self._per_group:
            victim = self._longest_waiting(present)
        elif self.is_full:
            victim = self._longest_waiting(self._biggest_group())
        if victim is not None:
            if now - victim.since < self._grace_s:
                return None, None
            self.release(victim)
        place = Place(group, now)
        self._groups.setdefault(group, {})[place] = None
        self._count += 1
        return place, victim

    def release(self, place: Place) -> None:
        """Give a place back; nothing if that was done already."""
        present = self._groups.get(place.group, {})
        if place in present:
            del present[place]
            self._count -= 1
            if not present:
                del self._groups[place.group]

    def _biggest_group(self) -> dict[Place, None]:
        return max(self._groups.values(), key=len)

    @staticmethod
    def _longest_waiting(present: dict[Place, None]) -> Place:
        return next(iter(present))


def group_of(address: str) -> str:
    """Return what counts as one address: an IPv4 address, an IPv6 /64."""
    parsed = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(parsed, ipaddress.IPv4Address):
        return str(parsed)
    if parsed.ipv4_mapped is not None:
        return str(parsed.ipv4_mapped)
    return str(ipaddress.IPv6Address(int(parsed) >> 64 << 64))

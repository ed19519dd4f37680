"""Several ways out of the site: which one is in use. No I/O: what was seen comes in, and the time (steady seconds).

By priority, judged by reaching the GateManager. Away from the one in use: at once when it has lost its cable or
address, else when it has not reached the GateManager for ``FAIL_S`` and another one does. Back to a better one when
that has reached it for ``BACK_S`` without a break: a line that flaps does not make the unit flap.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping, Sequence
from typing import Final

import msgspec

from .uplink_settings import UplinkConfig

FAIL_S: Final = 15.0
BACK_S: Final = 60.0
FIRST_TABLE: Final = 6700
"""Of the routing tables and rules that are ours: one for each uplink, the last one for the uplink in use."""
ACTIVE_TABLE: Final = 6799


class Given(msgspec.Struct, frozen=True):
    """What an interface is to have, by the configuration, by a DHCP server or by a modem."""

    address: str
    """With its prefix: 10.20.1.2/24."""
    gateway: str = ""
    dns: tuple[str, ...] = ()

    @property
    def network(self) -> ipaddress.IPv4Network:
        """The one that the address is in."""
        return ipaddress.IPv4Interface(self.address).network


class Wanted(msgspec.Struct, frozen=True):
    """An uplink, and what its interface is to have by us. Nothing: what the system gave it, or ``text`` says why."""

    uplink: UplinkConfig
    given: Given | None = None
    text: str = ""


class Seen(msgspec.Struct, frozen=True):
    """An uplink as it is now."""

    address: str = ""
    gateway: str = ""
    prefix_length: int = 32
    dns: tuple[str, ...] = ()
    reaches: bool | None = None
    """Whether the GateManager was reached by it; None: not tried yet."""
    text: str = ""
    """Why it cannot be used; empty if it can."""
    has_line: bool = True
    """Whether there is a cable, or a network in the air."""
    overlaps: bool = False
    """Its network is the machine side's as well."""
    why: str = ""
    """Why the GateManager was not reached."""

    @property
    def is_usable(self) -> bool:
        """Whether packets can be sent by it."""
        return bool(self.address and self.gateway and not self.text)

    @property
    def way(self) -> tuple[str, str]:
        """Where packets go: a connection that was made by another one is dead."""
        return (self.address, self.gateway) if self.is_usable else ("", "")


class UplinkChoice:
    """Decides; ``active`` is the name in use, or empty."""

    def __init__(self, names: Sequence[str], active: str = "") -> None:
        self._names = tuple(names)
        self._good_since: dict[str, float] = {}
        self._bad_since: float | None = None
        self.active = active if active in self._names else ""

    def decide(self, seen: Mapping[str, Seen], now: float) -> str:
        """Return the uplink that is to be in use from now on."""
        for name in self._names:
            if seen[name].is_usable and seen[name].reaches:
                self._good_since.setdefault(name, now)
            else:
                self._good_since.pop(name, None)
        chosen = self._choose(seen, now)
        if chosen != self.active:
            self.active, self._bad_since = chosen, None
        return self.active

    def _choose(self, seen: Mapping[str, Seen], now: float) -> str:
        usable = [name for name in self._names if seen[name].is_usable]
        reaching = [name for name in usable if seen[name].reaches]
        if self.active not in usable:
            return next(iter(reaching or usable), "")
        if seen[self.active].reaches is False:
            self._bad_since = now if self._bad_since is None else self._bad_since
            others = [name for name in reaching if name != self.active]
            if others and now - self._bad_since >= FAIL_S:
                return others[0]
        else:
            self._bad_since = None
        better = self._names[: self._names.index(self.active)]
        for name in better:
            if name in self._good_since and now - self._good_since[name] >= BACK_S:
                return name
        return self.active


def route_commands(uplinks: Sequence[tuple[str, str, Seen]], active: str, present: Sequence[str]) -> list[str]:
    """Return the ``ip -batch`` lines for exactly these (name, interface, seen); ``present`` removes what is there.

    Each uplink has a table, for what is bound to it or sent from its address. The one in use has the last table, which
    is looked into behind the main table's own networks and instead of its default route: that one is not touched.
    """
    commands = list(present)
    usable = [(number, *entry) for number, entry in enumerate(uplinks) if entry[2].is_usable]
    for number, name, interface, seen in usable:
        table = FIRST_TABLE + 2 * number
        commands += [
            *_routes(interface, seen, table),
            f"rule add oif {interface} lookup {table} priority {table}",
            f"rule add from {ipaddress.IPv4Address(seen.address)} lookup {table} priority {table + 1}",
        ]
        if name == active:
            commands += [
                *_routes(interface, seen, ACTIVE_TABLE)[-1:],
                f"rule add lookup main suppress_prefixlength 0 priority {FIRST_TABLE - 1}",
                f"rule add lookup {ACTIVE_TABLE} priority {ACTIVE_TABLE}",
            ]
    return commands


def _routes(interface: str, seen: Seen, table: int) -> list[str]:
    gateway, address = ipaddress.IPv4Address(seen.gateway), ipaddress.IPv4Address(seen.address)
    network = ipaddress.IPv4Network((address, seen.prefix_length), strict=False)
    return [
        f"route replace {network} dev {interface} src {address} table {table}",
        f"route replace default via {gateway} dev {interface} src {address} onlink table {table}",
    ]

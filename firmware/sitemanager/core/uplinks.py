"""Several ways out of the site: which one is in use. No I/O: what was seen comes in, and the time (steady seconds).

By priority, judged by reaching the GateManager. Away from the one in use: at once when it has lost its cable or
address, else when it has not reached the GateManager for ``FAIL_S`` and another one does. Back to a better one when
that has reached it for ``BACK_S`` without a break: a line that flaps does not make the unit flap.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Final, Literal

import msgspec
from msgspec import Meta

FAIL_S: Final = 15.0
BACK_S: Final = 60.0
FIRST_TABLE: Final = 6700
"""Of the routing tables and rules that are ours: one for each uplink, the last one for the uplink in use."""
ACTIVE_TABLE: Final = 6799
MOST_UPLINKS: Final = 8


class UplinkConfig(msgspec.Struct, frozen=True, kw_only=True):
    """A way out; the first in the list is the best."""

    name: Annotated[str, Meta(pattern=r"^[A-Za-z0-9_-]{1,32}$")]
    interface: Annotated[str, Meta(pattern=r"^[A-Za-z0-9_.:@-]{1,15}$")]
    kind: Literal["ethernet", "wifi", "modem"] = "ethernet"
    address: Annotated[str, Meta(max_length=18)] = ""
    """Own address and prefix, 10.20.1.2/24; empty: what the system gave the interface (DHCP, modem)."""
    gateway: Annotated[str, Meta(max_length=15)] = ""
    """Of a fixed address; empty: that of the interface's own default route."""


class Seen(msgspec.Struct, frozen=True):
    """An uplink as it is now."""

    address: str = ""
    gateway: str = ""
    reaches: bool | None = None
    """Whether the GateManager was reached by it; None: not tried yet."""
    text: str = ""
    """Why it cannot be used; empty if it can."""

    @property
    def is_usable(self) -> bool:
        """Whether packets can be sent by it."""
        return bool(self.address and self.gateway and not self.text)


class UplinkChoice:
    """Decides; ``active`` is the name in use, or empty."""

    def __init__(self, names: Sequence[str]) -> None:
        self._names = tuple(names)
        self._good_since: dict[str, float] = {}
        self._bad_since: float | None = None
        self.active = ""

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


def uplink_mistakes(uplinks: Sequence[UplinkConfig], dev_interfaces: Sequence[str]) -> Iterator[str]:
    """Every mistake of these settings with its key path."""
    for index, uplink in enumerate(uplinks):
        path = f"uplinks[{index}]"
        if uplink.interface in dev_interfaces:
            yield f"{path}.interface: {uplink.interface} is the machine side"
        if uplink.interface in [other.interface for other in uplinks[:index]]:
            yield f"{path}.interface: {uplink.interface} is there twice"
        if bool(uplink.address) != bool(uplink.gateway):
            yield f"{path}.gateway: address and gateway go together"
        try:
            interface = ipaddress.IPv4Interface(uplink.address) if uplink.address else None
            gateway = ipaddress.IPv4Address(uplink.gateway) if uplink.gateway else None
        except ValueError as error:
            yield f"{path}.address: {error}"
            continue
        if interface is not None and ("/" not in uplink.address or interface.network.prefixlen > 30):
            yield f"{path}.address: expected an address and its prefix like 10.20.1.2/24"
        elif interface is not None and gateway is not None and gateway not in interface.network:
            yield f"{path}.gateway: {gateway} is not in {interface.network}"


def route_commands(uplinks: Sequence[tuple[str, str, Seen]], active: str, present: Sequence[int]) -> list[str]:
    """Return the ``ip -batch`` lines for exactly these (name, interface, seen); ``present`` are our rules' priorities.

    Each uplink has a table, for what is bound to it or sent from its address. The one in use has the last table, which
    is looked into behind the main table's own networks and instead of its default route: that one is not touched.
    """
    commands = [f"rule del priority {priority}" for priority in present]
    usable = [(number, *entry) for number, entry in enumerate(uplinks) if entry[2].is_usable]
    for number, name, interface, seen in usable:
        table = FIRST_TABLE + 2 * number
        gateway, address = ipaddress.IPv4Address(seen.gateway), ipaddress.IPv4Address(seen.address)
        commands += [
            f"route replace default via {gateway} dev {interface} onlink table {table}",
            f"rule add oif {interface} lookup {table} priority {table}",
            f"rule add from {address} lookup {table} priority {table + 1}",
        ]
        if name == active:
            commands += [
                f"route replace default via {gateway} dev {interface} onlink table {ACTIVE_TABLE}",
                f"rule add lookup main suppress_prefixlength 0 priority {FIRST_TABLE - 1}",
                f"rule add lookup {ACTIVE_TABLE} priority {ACTIVE_TABLE}",
            ]
    return commands

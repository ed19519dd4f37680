"""What a caller without rights may ask for, given what the PC routes already. No I/O.

Only host routes to unicast IPv4 addresses, through the caller's own adapter. Nothing that the PC needs for itself can
be drawn into a tunnel: its own addresses, its gateways, the way to the GateManager, somebody else's host route.
A larger network of the PC around a device is no obstacle: the host route wins, and the caller is told.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from ipaddress import IPv4Address, IPv4Interface, IPv4Network
from typing import NamedTuple

from gatelink.exceptions import InputError

from .protocol import HostName

_LIMITED_BROADCAST = IPv4Address("255.255.255.255")
_SHORTEST_PLANT, _LONGEST_PLANT = 8, 30


class KernelRoute(NamedTuple):
    """One IPv4 route of the PC, of whatever table."""

    destination: IPv4Network
    kind: str
    """As the kernel names it: ``unicast``, ``local``, ``broadcast``, ``blackhole``, ..."""
    interface: str
    gateways: tuple[IPv4Address, ...]


def parse_address(text: str, what: str) -> IPv4Address:
    """Return an IPv4 address; raises InputError for anything else, naming ``what``."""
    try:
        return IPv4Address(text)
    except ValueError:
        raise InputError(f"{what}: expected an IPv4 address, got {text!r}") from None


def parse_host(text: str, what: str) -> IPv4Address:
    """Return a unicast IPv4 address that a packet can be sent to from elsewhere; raises InputError."""
    address = parse_address(text, what)
    unusable = address.is_multicast or address.is_loopback or address in IPv4Network("0.0.0.0/8")
    if unusable or address == _LIMITED_BROADCAST or address in IPv4Network("240.0.0.0/4"):
        raise InputError(f"{what}: {address} is no unicast address; a tunnel can only lead to single hosts")
    return address


def check_ends(pc: IPv4Address, gateway: IPv4Address, prefix_length: int) -> None:
    """Raise InputError unless both are different hosts of one network of that length."""
    network = IPv4Network((pc, prefix_length), strict=False)
    outside = {network.network_address, network.broadcast_address}
    if pc == gateway or gateway not in network or pc in outside or gateway in outside:
        raise InputError(f"{pc} and {gateway} are not two hosts of one /{prefix_length}: not a tunnel")


def in_use(ends: Iterable[IPv4Address], routes: Sequence[KernelRoute]) -> str:
    """Return which of a new tunnel's ends the PC has already, and where; or "".

    GateManagers do not know of each other: two of them may give the same.
    """
    for end in ends:
        for route in routes:
            if end in route.destination and (route.kind == "local" or route.destination.prefixlen == 32):
                return f"{end} is in use on this PC already ({route.interface or route.kind})"
    return ""


def check_free(ends: Sequence[IPv4Address], routes: Sequence[KernelRoute]) -> None:
    """Raise InputError if an end is in use: whoever comes second asks for another tunnel."""
    if taken := in_use(ends, routes):
        raise InputError(f"{taken}: connect again")


def parse_plant(text: str) -> IPv4Interface:
    """Return this PC's address in a plant, with the length of the plant's network or alone (/32); raises InputError."""
    address, slash, length = text.partition("/")
    host = parse_host(address, "this PC's address in the plant")
    if not slash:
        return IPv4Interface(host)
    if not (length.isdecimal() and _SHORTEST_PLANT <= int(length) <= _LONGEST_PLANT):
        raise InputError(f"this PC's address in the plant: expected a length from /8 to /30, got {text!r}")
    plant = IPv4Interface((host, int(length)))
    if host in (plant.network.network_address, plant.network.broadcast_address):
        raise InputError(f"this PC's address in the plant: {text} is the network itself or its broadcast address")
    return plant


def check_bridged(plant: IPv4Interface | None, *, bridged: bool, has_devices: bool) -> None:
    """Raise InputError unless what is asked for fits together."""
    if plant and not bridged:
        raise InputError("an address in the plant belongs to a bridged tunnel: this one is routed")
    if bridged and has_devices and not plant:
        raise InputError("devices of a bridged tunnel are reached from an address in the plant: give one")


def check_names(names: Sequence[HostName], destinations: Sequence[IPv4Address]) -> None:
    """Raise InputError unless every name is there once and is one of a device of this tunnel."""
    allowed = set(map(str, destinations))
    seen: set[str] = set()
    for entry in names:
        if entry.address not in allowed:
            raise InputError(f"{entry.name}: {entry.address} is none of the devices of this tunnel")
        if entry.name in seen:
            raise InputError(f"{entry.name} is there twice")
        seen.add(entry.name)


def check_destinations(
    destinations: Sequence[IPv4Address], keep_clear: Sequence[IPv4Address], routes: Sequence[KernelRoute], own: str
) -> list[str]:
    """Return warnings for people; raises InputError for the first destination that must not be routed to ``own``.

    ``own`` is the caller's adapter (empty before it exists): its routes are no obstacle.
    """
    others = [route for route in routes if not own or route.interface != own]
    local = [route.destination for route in others if route.kind == "local"]
    taken = {route.destination: route for route in others if route.destination.prefixlen == 32}
    gateways = {gateway for route in others for gateway in route.gateways}
    attached = [
        route
        for route in others
        if route.kind == "unicast" and not route.gateways and 0 < route.destination.prefixlen < 32
    ]
    warnings = []
    for destination in destinations:
        if any(destination in network for network in local):
            raise InputError(f"{destination} is this PC's own address: no tunnel can lead there")
        if destination in keep_clear:
            raise InputError(f"{destination} is on the way to the GateManager: a tunnel to it would cut itself off")
        if destination in gateways:
            raise InputError(f"{destination} is a gateway of this PC: a tunnel to it would cut the PC off")
        if route := taken.get(IPv4Network(destination)):
            where = f"through {route.interface}" if route.interface else f"({route.kind})"
            raise InputError(f"{destination} has a route of its own already {where}: remove it, or end that session")
        for route in attached:
            if destination in route.destination:
                network = f"{route.destination}, which is attached to this PC ({route.interface})"
                warnings.append(f"{destination} lies in {network}: a host there of that address is hidden meanwhile")
    return warnings

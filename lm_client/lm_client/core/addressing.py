"""Which address of each device leads to it from this PC: its own where that is free, else its virtual one. No I/O.

A device's own address is what its project file has, so it is the first choice. It is not free where the PC already
leads it elsewhere: the office's network is the plant's, another VPN covers it, or another machine with the same
addresses is connected. The virtual address is the same every day and is translated at the SiteManager.

What has been chosen once in a session stays for as long as it can: open connections are not cut because the PC moved
into another network.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from ipaddress import IPv4Address
from typing import Final, NamedTuple, Protocol

from lm_client.service.rules import KernelRoute

_SHORTEST_NETWORK: Final = 8
"""Shorter prefixes are ways to everywhere (0.0.0.0/0, or halves of it that a VPN sets), not somebody's network."""


class Device(Protocol):
    """What is needed of a device."""

    @property
    def device_id(self) -> str: ...
    @property
    def address(self) -> str: ...
    @property
    def virtual_address(self) -> str: ...


class Choice(NamedTuple):
    """``address`` is empty when nothing leads to the device; ``why`` says why it is not the device's own."""

    address: str
    why: str


class Pc(NamedTuple):
    """What the PC has in use."""

    routes: Sequence[KernelRoute]
    keep_clear: Collection[str] = ()
    """On the way to the GateManager."""
    sessions: Mapping[str, str] = {}
    """Addresses that other sessions have, and with what: ``{"192.168.50.10": "press-1"}``."""
    own_interface: str = ""
    """The session's own adapter: what leads there is no obstacle."""


def choose(
    devices: Sequence[Device], pc: Pc, kept: Mapping[str, str] | None = None, *, insist: bool = False
) -> dict[str, Choice]:
    """Return the choice for each device by its id.

    ``kept`` are addresses chosen earlier by device id. ``insist`` takes devices' own addresses out of larger networks
    of the PC: hosts of the same addresses there are hidden meanwhile.
    """
    surroundings = _Surroundings(pc)
    chosen: dict[str, Choice] = {}
    given: dict[str, str] = {}
    for device in devices:
        choice = _choose_one(device, surroundings, given, (kept or {}).get(device.device_id, ""), insist=insist)
        chosen[device.device_id] = choice
        if choice.address:
            given[choice.address] = device.device_id
    return chosen


def _choose_one(
    device: Device, surroundings: _Surroundings, given: Mapping[str, str], kept: str, *, insist: bool
) -> Choice:
    real, virtual = device.address, device.virtual_address
    if not real:
        obstacle = surroundings.obstacle(virtual) if virtual else "it has no address"
        return Choice("" if obstacle else virtual, obstacle)
    twice = "another device of this session has it" if real in given else ""
    impossible = twice or surroundings.obstacle(real)
    covered = "" if insist else surroundings.covered(real)
    if not impossible and (not covered or not virtual or kept == real):
        return Choice(real, "")
    why = impossible or covered
    if virtual and virtual not in given and not surroundings.obstacle(virtual):
        return Choice(virtual, f"{real}: {why}")
    also = surroundings.obstacle(virtual) if virtual else "it has no virtual address"
    return Choice("", f"{real}: {why}; {virtual or 'and'}: {also}" if virtual else f"{real}: {why}, and {also}")


class _Surroundings:
    """The PC's routes, ordered for looking up."""

    def __init__(self, pc: Pc) -> None:
        others = [route for route in pc.routes if not pc.own_interface or route.interface != pc.own_interface]
        self._pc = pc
        self._local = [_span(route) for route in others if route.kind == "local"]
        self._hosts = {int(r.destination.network_address): r for r in others if r.destination.prefixlen == 32}
        self._gateways = {int(gateway) for route in others for gateway in route.gateways}
        self._networks = [
            (*_span(route), route)
            for route in others
            if _SHORTEST_NETWORK <= route.destination.prefixlen < 32 and route.kind not in ("local", "broadcast")
        ]

    def obstacle(self, text: str) -> str:
        """Return why an address cannot be led into a tunnel at all, as the service with rights would say; or ""."""
        address = int(IPv4Address(text))
        if session := self._pc.sessions.get(text):
            return f"in use for {session}"
        if any(first <= address <= last for first, last in self._local):
            return "this PC's own address"
        if text in self._pc.keep_clear:
            return "on the way to the GateManager"
        if address in self._gateways:
            return "a gateway of this PC"
        if route := self._hosts.get(address):
            return f"led elsewhere already ({route.interface or route.kind})"
        return ""

    def covered(self, text: str) -> str:
        """Return the network of the PC in which an address lies, for people; or ""."""
        address = int(IPv4Address(text))
        for first, last, route in self._networks:
            if first <= address <= last:
                return f"in a network of this PC ({route.destination} on {route.interface or route.kind})"
        return ""


def _span(route: KernelRoute) -> tuple[int, int]:
    """As numbers: a tree has tens of thousands of devices, and objects of ``ipaddress`` are slow to compare."""
    return int(route.destination.network_address), int(route.destination.broadcast_address)

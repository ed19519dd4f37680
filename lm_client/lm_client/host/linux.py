"""TAP adapters and host routes on Linux.

Addresses, neighbours and routes are set by one ``ip -batch`` process. Measured against pyroute2 0.9.5: it costs as much
for a few routes, less for many, and a service with rights does without 20 MB of library.
Everything that is written to it was parsed into an address first.
"""

from __future__ import annotations

import contextlib
import json
import socket
import subprocess
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path
from typing import Any, Final

from gatelink.exceptions import TapError
from gatelink.tunnel.tap import Tap, open_tap
from gatelink.tunnel_mac import tunnel_mac
from lm_client.exceptions import HostError
from lm_client.host import Bridge
from lm_client.service.rules import KernelRoute

_IP_TIMEOUT_S: Final = 20.0
_MAX_ADAPTERS: Final = 1000
_HOST: Final = 32
"""The length of a prefix that is one address."""
_SETTINGS: Final = (
    ("/proc/sys/net/ipv6/conf/{}/disable_ipv6", "1"),
    # What comes out of a tunnel reaches nothing behind the PC, even if the PC is a router (containers make it one).
    ("/proc/sys/net/ipv4/conf/{}/forwarding", "0"),
    # And it comes from the devices alone: who holds the descriptor cannot speak in others' names.
    ("/proc/sys/net/ipv4/conf/{}/rp_filter", "1"),
)


@dataclass
class LinuxAdapter:
    """An open TAP adapter."""

    tap: Tap
    label: str
    pc: IPv4Address
    gateway: IPv4Address
    bridge: Bridge | None = None
    is_up: bool = False

    @property
    def name(self) -> str:
        """The interface."""
        return self.tap.name

    @property
    def descriptor(self) -> int:
        """The open file to hand over."""
        return self.tap.fileno()


class LinuxNetwork:
    """``mark`` (letters, digits, hyphens) begins the alias of our adapters and tells them from everybody else's."""

    def __init__(self, mark: str) -> None:
        self._mark = mark

    def routes(self) -> list[KernelRoute]:
        """Return every IPv4 route of every table."""
        return routes_of_this_pc()

    def open(
        self, label: str, pc: IPv4Address, gateway: IPv4Address, mtu_bytes: int, bridge: Bridge | None = None
    ) -> LinuxAdapter:
        """Make ``gl0``, ``gl1``, ...: still down."""
        mac = bytes.fromhex(tunnel_mac(str(pc)).replace(":", ""))
        try:
            tap = open_tap(_free_name(), mtu_bytes=mtu_bytes, mac=mac)
        except TapError as error:
            raise HostError(str(error)) from None
        try:
            for setting, value in _SETTINGS:
                with contextlib.suppress(FileNotFoundError):  # a kernel without IPv6
                    Path(setting.format(tap.name)).write_text(value, encoding="ascii")
        except OSError as error:
            tap.close()
            raise HostError(f"cannot write the settings of {tap.name}: {error.strerror}") from None
        return LinuxAdapter(tap, label, pc, gateway, bridge)

    def apply(self, adapter: LinuxAdapter, devices: Sequence[IPv4Address]) -> None:
        """Set mark, address, neighbour and routes.

        Routed: the address is a point-to-point peer's, which makes a host route alone. Bridged: devices are neighbours
        on the link, found by ARP as everywhere on Ethernet, and no network of the plant is routed: its other hosts are
        not hidden by it, nor reached. Its broadcast address is routed where its length was given.
        """
        name, gateway, bridge = adapter.name, adapter.gateway, adapter.bridge
        present = self._devices_of(adapter) if adapter.is_up else set()
        way = f"via {gateway} dev {name}"
        addresses = [
            f"address replace {adapter.pc} peer {gateway}/32 dev {name}",
            f"neighbour replace {gateway} lladdr {tunnel_mac(str(gateway))} nud permanent dev {name}",
        ]
        if bridge is not None:
            way, addresses = f"dev {name}", []
        if bridge is not None and bridge.plant is not None:
            way += f" scope link src {bridge.plant.ip}"
            broadcast = "brd + noprefixroute" if bridge.plant.network.prefixlen < _HOST else ""
            addresses = [f"address replace {bridge.plant} dev {name} {broadcast}"]
        _batch(
            [
                f"link set dev {name} alias {self._mark}:{adapter.label} up",
                *addresses,
                *(f"route del {device}/32 {way}" for device in present.difference(devices)),
                *(f"route add {device}/32 {way}" for device in devices if device not in present),
            ]
        )
        adapter.is_up = True

    def remove(self, adapter: LinuxAdapter) -> None:
        """Delete the interface while we hold it, so that it is ours; other descriptors of it then lead nowhere."""
        with contextlib.suppress(HostError):  # somebody deleted it by hand
            _ip("link", "delete", "dev", adapter.name)
        adapter.tap.close()

    def clean_up(self) -> list[str]:
        """Remove adapters with our mark."""
        links = json.loads(_ip("-json", "link", "show") or "[]")
        ours = [link["ifname"] for link in links if link.get("ifalias", "").startswith(f"{self._mark}:")]
        _batch([f"link delete dev {name}" for name in ours])
        return ours

    def _devices_of(self, adapter: LinuxAdapter) -> set[IPv4Address]:
        return {
            route.destination.network_address
            for route in self.routes()
            if route.interface == adapter.name
            and route.kind == "unicast"
            and route.destination.prefixlen == 32
            and route.destination.network_address != adapter.gateway
        }


def routes_of_this_pc() -> list[KernelRoute]:
    """Return every IPv4 route of every table. Needs no rights. Raises HostError."""
    entries = json.loads(_ip("-json", "-4", "route", "show", "table", "all") or "[]")
    return [_kernel_route(entry) for entry in entries]


def _free_name() -> str:
    taken = {name for _, name in socket.if_nameindex()}
    for number in range(_MAX_ADAPTERS):
        if f"gl{number}" not in taken:
            return f"gl{number}"
    raise HostError(f"there are {_MAX_ADAPTERS} adapters gl0, gl1, ... already: remove those that nobody uses")


def _kernel_route(entry: dict[str, Any]) -> KernelRoute:
    destination = entry["dst"] if entry["dst"] != "default" else "0.0.0.0/0"
    hops = entry.get("nexthops", [entry])
    gateways = tuple(IPv4Address(hop["gateway"]) for hop in hops if "gateway" in hop)
    return KernelRoute(IPv4Network(destination), entry.get("type", "unicast"), hops[0].get("dev", ""), gateways)


def _batch(commands: Iterable[str]) -> None:
    if lines := "".join(f"{command}\n" for command in commands):
        _ip("-batch", "-", stdin=lines)


def _ip(*arguments: str, stdin: str = "") -> str:
    """Run ``ip``, found by a fixed path; raises HostError with what it said."""
    argv = ["ip", *arguments]
    environment = {"PATH": "/usr/sbin:/sbin:/usr/bin:/bin", "LC_ALL": "C"}
    try:
        done = subprocess.run(
            argv, input=stdin, capture_output=True, text=True, timeout=_IP_TIMEOUT_S, env=environment, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise HostError(f"cannot run `{' '.join(argv)}`: {error}; install iproute2") from None
    if done.returncode:
        said = done.stderr.strip().splitlines() or ["it said nothing"]
        raise HostError(f"`{' '.join(argv)}` failed: {said[0]}")
    return done.stdout

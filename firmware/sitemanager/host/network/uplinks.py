"""Uplinks at the host: addresses, gateways, rules and tables by iproute2; and a look at the GateManager through one."""

from __future__ import annotations

import asyncio
import ipaddress
import socket
import ssl
from collections.abc import Sequence
from typing import Any, Final

from gatelink.exceptions import GatelinkError
from gatelink.identity import key_sha256
from gatelink.pins import Pin
from gatelink.tls import first_contact_context
from gatelink.tls_io import handshake
from gatelink.wire import ALPN_HELLO
from sitemanager.core.admission import HostNetwork
from sitemanager.core.uplinks import ACTIVE_TABLE, FIRST_TABLE, Seen, UplinkConfig, route_commands

from . import programs

PROBE_S: Final = 6.0


class LinuxUplinks:
    """Full state: ``apply`` brings rules and tables to exactly these; ``clean_up`` removes all of ours."""

    def look(self, uplinks: Sequence[UplinkConfig], plant: Sequence[HostNetwork]) -> dict[str, Seen]:
        """Return each uplink as the host has it, fixed addresses given. Raises NetworkError."""
        self._give_addresses(uplinks)
        links = {str(link["ifname"]): link for link in programs.ask_ip("-4", "address", "show")}
        flags = {str(link["ifname"]): link["flags"] for link in programs.ask_ip("link", "show")}
        routes = programs.ask_ip("-4", "route", "show", "default")
        return {uplink.name: _seen(uplink, links, flags, routes, plant) for uplink in uplinks}

    def apply(self, uplinks: Sequence[UplinkConfig], seen: dict[str, Seen], active: str) -> None:
        """Route by these, the active one for everything else. Raises NetworkError."""
        entries = [(uplink.name, uplink.interface, seen[uplink.name]) for uplink in uplinks]
        commands = route_commands(entries, active, _our_rules())
        if commands:
            programs.ip(commands)

    def clean_up(self) -> None:
        """Remove what any run left. Raises NetworkError."""
        rules = _our_rules()
        if rules:
            programs.ip([f"rule del priority {priority}" for priority in rules])

    def _give_addresses(self, uplinks: Sequence[UplinkConfig]) -> None:
        fixed = [uplink for uplink in uplinks if uplink.address]
        known = {name for _, name in socket.if_nameindex()}
        commands = []
        for uplink in fixed:
            if uplink.interface in known:
                commands += [
                    f"address replace {ipaddress.IPv4Interface(uplink.address)} dev {uplink.interface} noprefixroute",
                    f"route replace {ipaddress.IPv4Interface(uplink.address).network} dev {uplink.interface}",
                    f"link set dev {uplink.interface} up",
                ]
        if commands:
            programs.ip(sorted(commands, key=lambda command: command.startswith("route")))


def _seen(
    uplink: UplinkConfig,
    links: dict[str, dict[str, Any]],
    flags: dict[str, Any],
    routes: Sequence[dict[str, Any]],
    plant: Sequence[HostNetwork],
) -> Seen:
    if uplink.interface not in flags:
        return Seen(text=f"{uplink.interface} is not there")
    if "LOWER_UP" not in flags[uplink.interface]:
        return Seen(text="no cable, or nobody at its other end")
    entries = links.get(uplink.interface, {}).get("addr_info", ())
    wanted = uplink.address.partition("/")[0]
    found = [entry for entry in entries if not wanted or entry.get("local") == wanted]
    if not found:
        return Seen(text="it has no address")
    own = ipaddress.IPv4Interface(f"{found[0]['local']}/{found[0].get('prefixlen', 32)}")
    for known in plant:
        if known.network.overlaps(own.network):
            return Seen(str(own.ip), text=f"{own.network} is the machine side's network as well ({known.interface})")
    gateway = uplink.gateway or next((str(r["gateway"]) for r in routes if r.get("dev") == uplink.interface), "")
    return Seen(str(own.ip), gateway, text="" if gateway else "it has no gateway")


def _our_rules() -> list[int]:
    priorities = [int(rule.get("priority", 0)) for rule in programs.ask_ip("-4", "rule", "show")]
    return [priority for priority in priorities if FIRST_TABLE - 1 <= priority <= ACTIVE_TABLE]


async def reaches(interface: str, address: str, port: int, pin: Pin) -> bool:
    """Whether the pinned GateManager answers by this interface: a captive portal takes connections as well."""
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout(PROBE_S):
            (family, kind, protocol, _, target), *_ = await loop.getaddrinfo(address, port, type=socket.SOCK_STREAM)
            sock = socket.socket(family, kind | socket.SOCK_NONBLOCK, protocol)
            try:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, interface.encode())
                await loop.sock_connect(sock, target)
                tls = await handshake(sock, first_contact_context(ALPN_HELLO), server_side=False, server_name=address)
            except BaseException:
                sock.close()
                raise
    except (OSError, TimeoutError, ssl.SSLError, GatelinkError):
        return False
    certificate = tls.getpeercert(binary_form=True)
    tls.close()
    return certificate is not None and key_sha256(certificate) == pin.key_sha256

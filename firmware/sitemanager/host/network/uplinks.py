"""Uplinks at the host: addresses, gateways, rules and tables by iproute2; and a look at the GateManager through one."""

from __future__ import annotations

import asyncio
import ipaddress
import socket
import ssl
from collections.abc import Mapping, Sequence
from typing import Any, Final, Protocol

from gatelink.certificates import key_sha256
from gatelink.exceptions import GatelinkError
from gatelink.pins import Pin
from gatelink.tls import first_contact_context
from gatelink.tls_io import handshake
from gatelink.wire import ALPN_HELLO
from sitemanager.core.admission import HostNetwork
from sitemanager.core.uplink_addresses import address_commands
from sitemanager.core.uplinks import ACTIVE_TABLE, FIRST_TABLE, Seen, Wanted, route_commands

from . import programs

PROBE_S: Final = 6.0
NO_CABLE: Final = "no cable, or nobody at its other end"


class UplinkHost(Protocol):
    """What the service asks of the host; every call may block."""

    def look(self, wanted: Sequence[Wanted], plant: Sequence[HostNetwork]) -> dict[str, Seen]:
        """Give exactly these addresses and return each uplink as it is then, by name. Raises NetworkError."""

    def apply(self, wanted: Sequence[Wanted], seen: Mapping[str, Seen], active: str) -> None:
        """Route by these, the active one for everything else. Raises NetworkError."""

    def clean_up(self, kept: Sequence[Wanted] = ()) -> None:
        """Remove everything of ours but the addresses of these, whoever left it. Raises NetworkError."""


class LinuxUplinks:
    """Full state: each call brings addresses, rules and tables to exactly what it says."""

    def look(self, wanted: Sequence[Wanted], plant: Sequence[HostNetwork]) -> dict[str, Seen]:
        """See ``UplinkHost``."""
        flags = {str(link["ifname"]): link["flags"] for link in programs.ask_ip("link", "show")}
        # An address in the machine's network is not given: the kernel would look for devices at the wrong port.
        given = {
            entry.uplink.interface: entry.given
            for entry in wanted
            if entry.given is not None and entry.uplink.interface in flags and not _overlap(entry.given.network, plant)
        }
        links = programs.ask_ip("-4", "address", "show")
        commands = address_commands(links, {name: found.address for name, found in given.items()})
        ours = [entry.uplink for entry in wanted if entry.given is not None or entry.uplink.dhcp]
        commands += [
            f"link set dev {uplink.interface} up" for uplink in ours if "UP" not in flags.get(uplink.interface, ["UP"])
        ]
        if commands:
            programs.ip(commands)
            links = programs.ask_ip("-4", "address", "show")
        routes = programs.ask_ip("-4", "route", "show", "default")
        by_name = {str(link["ifname"]): link for link in links}
        return {entry.uplink.name: _seen(entry, by_name, flags, routes, plant) for entry in wanted}

    def apply(self, wanted: Sequence[Wanted], seen: Mapping[str, Seen], active: str) -> None:
        """See ``UplinkHost``."""
        entries = [(entry.uplink.name, entry.uplink.interface, seen[entry.uplink.name]) for entry in wanted]
        commands = route_commands(entries, active, _leftovers())
        if commands:
            programs.ip(commands)

    def clean_up(self, kept: Sequence[Wanted] = ()) -> None:
        """See ``UplinkHost``."""
        addresses = {entry.uplink.interface: entry.given.address for entry in kept if entry.given is not None}
        present = programs.ask_ip("-4", "address", "show")
        names = {str(link["ifname"]) for link in present}
        stay = {name: address for name, address in addresses.items() if name in names}
        commands = [
            *_leftovers(),
            *(row for row in address_commands(present, stay) if row.startswith("address del")),
        ]
        if commands:
            programs.ip(commands)


def ways_out() -> list[str]:
    """Return the interfaces by which a default route leads that is in use, ours first. Raises NetworkError."""
    routes = programs.ask_ip("-4", "route", "show", "default", "table", "all")
    ours = [str(route["dev"]) for route in routes if str(route.get("table")) == str(ACTIVE_TABLE)]
    return ours or list(dict.fromkeys(str(route["dev"]) for route in routes if "table" not in route and "dev" in route))


def _seen(
    wanted: Wanted,
    links: Mapping[str, dict[str, Any]],
    flags: Mapping[str, Any],
    routes: Sequence[dict[str, Any]],
    plant: Sequence[HostNetwork],
) -> Seen:
    uplink, given = wanted.uplink, wanted.given
    if uplink.interface not in flags:
        return Seen(text=f"{uplink.interface} is not there", has_line=False)
    if given is not None and (text := _overlap(given.network, plant)):
        return Seen(given.address.partition("/")[0], overlaps=True, text=text, prefix_length=given.network.prefixlen)
    if "LOWER_UP" not in flags[uplink.interface]:
        return Seen(text=(wanted.text if uplink.ssid or uplink.apn else "") or NO_CABLE, has_line=False)
    if wanted.text:
        return Seen(text=wanted.text)
    entries = links.get(uplink.interface, {}).get("addr_info", ())
    address = given.address.partition("/")[0] if given is not None else ""
    found = [entry for entry in entries if not address or entry.get("local") == address]
    if not found:
        return Seen(text="it has no address")
    own = ipaddress.IPv4Interface(f"{found[0]['local']}/{found[0].get('prefixlen', 32)}")
    if text := _overlap(own.network, plant):
        return Seen(str(own.ip), overlaps=True, text=text, prefix_length=own.network.prefixlen)
    gateway = given.gateway if given is not None else _gateway(uplink.interface, routes)
    servers = tuple(dict.fromkeys((*uplink.dns, *(given.dns if given is not None else ()))))
    text = "" if gateway else "it has no gateway"
    return Seen(str(own.ip), gateway, own.network.prefixlen, servers, text=text)


def _overlap(network: ipaddress.IPv4Network, plant: Sequence[HostNetwork]) -> str:
    for known in plant:
        if known.network.overlaps(network) and known.network.prefixlen:
            return f"{network} is the machine side's network as well ({known.interface}): it is not used"
    return ""


def _gateway(interface: str, routes: Sequence[dict[str, Any]]) -> str:
    return next((str(route["gateway"]) for route in routes if route.get("dev") == interface and "gateway" in route), "")


def _leftovers() -> list[str]:
    """The commands that remove all rules and routes of ours."""
    rules = [int(rule.get("priority", 0)) for rule in programs.ask_ip("-4", "rule", "show")]
    commands = [f"rule del priority {number}" for number in rules if FIRST_TABLE - 1 <= number <= ACTIVE_TABLE]
    for route in programs.ask_ip("-4", "route", "show", "table", "all"):
        table = str(route.get("table", ""))
        if table.isdecimal() and FIRST_TABLE <= int(table) <= ACTIVE_TABLE:
            commands.append(f"route del {route['dst']} dev {route['dev']} table {table}")
    return commands


async def reach(interface: str, address: str, port: int, pin: Pin) -> str:
    """Return why the pinned GateManager does not answer by this interface; empty if it does.

    A captive portal takes connections as well: only its certificate shows that it is the GateManager.
    """
    loop = asyncio.get_running_loop()
    where = f"{address} port {port}"
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
    except TimeoutError:
        return f"{where}: no answer within {PROBE_S:.0f} s"
    except socket.gaierror:
        return f"the name {address} is not known to the name servers"
    except (ssl.SSLError, GatelinkError):
        return f"{where}: somebody else answers, not the GateManager (a proxy, or a login page of the network)"
    except OSError as error:
        return f"{where}: {(error.strerror or 'no connection').lower()}"
    certificate = tls.getpeercert(binary_form=True)
    tls.close()
    if certificate is None or key_sha256(certificate) != pin.key_sha256:
        return f"{where}: somebody answers who is not the GateManager"
    return ""

"""Bridged sessions: the PC on the machine's Ethernet, but for what is not granted. nftables text of the netdev family.

No bridge device is made, so the machine-side port keeps its addresses, nothing is learned or flooded, and no loop can
be: a frame of the PC is sent out of the machine-side port, or dropped, where it comes in; a frame of a granted device
goes to the PC. Both ways a frame passes only by rules of these chains (table ``netdev gatelink_sm_bridged``):

    from_gls*    what the PC sends: ARP about granted devices, granted protocols and ports of them, granted EtherTypes,
                 and discovery by broadcast, slowly, where a service of that port or EtherType is granted. Everything
                 else is dropped: DHCP above all, another's source address, IPv6, what is for the SiteManager itself.
    port         what comes in at the machine side for a PC's MAC goes to that PC if a granted device answers with it,
                 else nowhere. Broadcasts of granted devices are copied to the PC, slowly. The rest is not touched.

Devices are known by MAC and address together: one without a MAC in the GateManager is not bridged. Everything in the
text that a GateManager chose went through ``ipaddress``, ``int`` or the pattern of a MAC.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator, Sequence
from typing import Final

from gatelink.messages import DeviceAccess
from gatelink.tunnel_mac import tunnel_mac

from .desired import SessionNetwork

TABLE: Final = "netdev gatelink_sm_bridged"
DISCOVERIES_PER_SECOND: Final = 20
"""Broadcasts of a PC into the plant, of each kind; and of the plant to a PC."""
_BROADCAST: Final = "ff:ff:ff:ff:ff:ff"
_PROFINET: Final = 0x8892
_DCP_IDENTIFY: Final = "01:0e:cf:00:00:00"
_DHCP_PORTS: Final = frozenset({67, 68})
_MAC: Final = re.compile(r"[0-9a-f]{2}(:[0-9a-f]{2}){5}")
_SLOWLY: Final = f"limit rate {DISCOVERIES_PER_SECOND}/second burst {DISCOVERIES_PER_SECOND} packets"


def is_bridgeable(device: DeviceAccess) -> bool:
    """Whether a device can be in a bridged session: it has an Ethernet address that is no group's."""
    return bool(device.address and _MAC.fullmatch(device.mac)) and int(device.mac[:2], 16) & 1 == 0


def bridged_ruleset(sessions: Sequence[SessionNetwork], port: str, own: Sequence[ipaddress.IPv4Address]) -> str:
    """Return what ``nft -f -`` loads in one transaction. ``port`` is the machine side, ``own`` are our addresses there.

    Without a session: nothing is left of it.
    """
    rows = [f"table {TABLE}", f"delete table {TABLE}"]
    if sessions:
        rows += [f"table {TABLE} {{", *(f"\t{row}" for row in _table(sessions, port, own)), "}"]
    return "\n".join([*rows, ""])


def _table(sessions: Sequence[SessionNetwork], port: str, own: Sequence[ipaddress.IPv4Address]) -> Iterator[str]:
    for session in sessions:
        yield from _sets(session)
    for session in sessions:
        yield from _chain(f"to_{session.interface}", _to_pc(session))
        yield from _chain(f"copy_{session.interface}", _copied(session))
        yield from _chain(f"from_{session.interface}", _from_pc(session, port, own))
    rows = [f'type filter hook ingress device "{port}" priority 0; policy accept;']
    rows += [f"ether daddr {tunnel_mac(session.pc)} goto to_{session.interface}" for session in sessions]
    group = "ether daddr & 01:00:00:00:00:00 == 01:00:00:00:00:00"
    rows += [f"ether saddr @macs_{session.interface} {group} jump copy_{session.interface}" for session in sessions]
    yield from _chain("port", rows)


def _sets(session: SessionNetwork) -> Iterator[str]:
    name = session.interface
    devices = [device for device in session.devices if is_bridgeable(device) and device.services]
    hosts = [f"{device.mac} . {ipaddress.IPv4Address(device.address)}" for device in devices]
    pairs = [
        (f"{device.mac} . {device.address}", device.mac, service) for device in devices for service in device.services
    ]
    ports = [
        f"{place} . {service.protocol} . {int(service.first_port)}-{int(service.last_port)}"
        for place, _, service in pairs
        if service.protocol in ("tcp", "udp")
    ]
    echo = [place for place, _, service in pairs if service.protocol == "icmp"]
    types = [f"{mac} . {int(service.first_port):#06x}" for _, mac, service in pairs if service.protocol == "ethernet"]
    asked = {
        port
        for _, _, service in pairs
        if service.protocol == "udp" and service.first_port == service.last_port
        for port in (int(service.first_port),)
        if port not in _DHCP_PORTS
    }
    yield from _set(f"macs_{name}", "ether_addr", [device.mac for device in devices])
    yield from _set(
        f"addresses_{name}", "ipv4_addr", [str(ipaddress.IPv4Address(device.address)) for device in devices]
    )
    yield from _set(f"hosts_{name}", "ether_addr . ipv4_addr", hosts)
    yield from _set(f"ports_{name}", "ether_addr . ipv4_addr . inet_proto . inet_service", ports, spread=True)
    yield from _set(f"echo_{name}", "ether_addr . ipv4_addr", echo)
    yield from _set(f"types_{name}", "ether_addr . ether_type", types)
    yield from _set(f"asked_{name}", "inet_service", [str(port) for port in sorted(asked)])


def _from_pc(session: SessionNetwork, port: str, own: Sequence[ipaddress.IPv4Address]) -> list[str]:
    name, out = session.interface, f'fwd to "{port}"'
    rows = [f'type filter hook ingress device "{name}" priority 0; policy drop;']
    rows.append(f"ether saddr != {tunnel_mac(session.pc)} drop")
    if own:
        ours = f"{{ {', '.join(str(address) for address in sorted(own))} }}"
        rows += [f"arp saddr ip {ours} drop", f"ip saddr {ours} drop"]
    rows += [
        f"arp saddr ip @addresses_{name} drop",
        f"ip saddr @addresses_{name} drop",
        f"arp operation {{ request, reply }} arp daddr ip @addresses_{name} {_SLOWLY} {out}",
        "ip frag-off & 0x1fff != 0 drop",
        f"ether daddr . ip daddr . meta l4proto . th dport @ports_{name} {out}",
        f"icmp type echo-request ether daddr . ip daddr @echo_{name} {out}",
        f"ether daddr {_BROADCAST} udp dport @asked_{name} {_SLOWLY} {out}",
        f"ether daddr . ether type @types_{name} {out}",
    ]
    if any(
        service.protocol == "ethernet" and service.first_port == _PROFINET
        for device in session.devices
        for service in device.services
    ):
        rows.append(f"ether daddr {_DCP_IDENTIFY} ether type {_PROFINET:#06x} {_SLOWLY} {out}")
    return rows


def _to_pc(session: SessionNetwork) -> list[str]:
    name, out = session.interface, f'fwd to "{session.interface}"'
    errors = "icmp type { echo-reply, destination-unreachable, time-exceeded, parameter-problem }"
    return [
        f"ether saddr != @macs_{name} drop",
        f"arp saddr ip @addresses_{name} {out}",
        # Later fragments have no ports; without their first one, which is judged below, nobody can use them.
        f"ip frag-off & 0x1fff != 0 ether saddr . ip saddr @hosts_{name} {out}",
        f"ether saddr . ip saddr . meta l4proto . th sport @ports_{name} {out}",
        f"{errors} ether saddr . ip saddr @echo_{name} {out}",
        f"ether saddr . ether type @types_{name} {out}",
        "drop",
    ]


def _copied(session: SessionNetwork) -> list[str]:
    name = session.interface
    copy = f'{_SLOWLY} dup to "{name}"'
    return [
        f"arp saddr ip @addresses_{name} {copy}",
        f"ether saddr . ether type @types_{name} {copy}",
        f"ether saddr . ip saddr @hosts_{name} udp sport @asked_{name} {copy}",
    ]


def _chain(name: str, rows: Sequence[str]) -> list[str]:
    return [f"chain {name} {{", *(f"\t{row}" for row in rows), "}"]


def _set(name: str, kind: str, elements: Sequence[str], *, spread: bool = False) -> list[str]:
    rows = [f"type {kind};"]
    if spread:
        rows.append("flags interval;")
    if elements:
        rows.append(f"elements = {{ {', '.join(dict.fromkeys(elements))} }};")
    return [f"set {name} {{", *(f"\t{row}" for row in rows), "}"]

"""The nftables rules of all sessions, as text: deny by default, and each packet is judged by the grants of now.

The chains of one table (``inet gatelink_sm``):

    forward      from a session: only to its granted devices, protocols and ports, only out of a machine-side interface;
                 to a session: only answers of these, and ICMP errors about them; everything else of ``gls*`` refused.
                 Where a permanent relay pushes it is the other way round: from that device, to that one port of the PC.
                 What comes in by a machine-side interface on which forwarding is on for us alone goes nowhere else.
    input        from a session to the SiteManager itself, on any of its addresses: refused, but for the serial ports
                 that are granted in it, at their virtual addresses; and nobody else reaches these.
    output       from the SiteManager to a session: only answers of its serial ports, the refusals that these chains
                 make, and ICMP errors. An answer whose session is away leaves by no other interface.
    prerouting   virtual addresses of granted devices become their real ones: every other chain sees these alone. What
                 a device that may push opens to a port of the SiteManager itself is meant for the PC.
    postrouting  sessions are masqueraded, so that devices without a gateway address can answer.

No rule says "established, so accept": an established connection is good only with the mark of its session (see
``desired.connection_mark``) and while its device and service are granted. So a revoked grant ends running connections
with the next packet, and what conntrack remembers of an ended session opens nothing. Conntrack also puts fragments
together before they come here, so that ports are always seen.

While there is no session the rules stay, so that the kernel goes on following connections: a device that sends its
answer again before a session is resumed would otherwise get a reset from the SiteManager's own TCP. Where such an
answer finds no session it is dropped: it must not leave by an uplink that happens to be the default route.

Everything in the text that a GateManager chose went through ``ipaddress`` or is an ``int``; names never get in.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator, Sequence
from typing import Final

from gatelink.messages import Devices, Push

from .desired import INTERFACE_PREFIX, MARK, MARK_MASK, DesiredState, SessionNetwork
from .serial_settings import offers

TABLE: Final = "inet gatelink_sm"
REFUSALS_PER_SECOND: Final = 50
"""Answers to refused packets, all sessions together; what is above is dropped without a word."""
_ANY: Final = f'"{INTERFACE_PREFIX}*"'
_ICMP_ERRORS: Final = "icmp type { destination-unreachable, time-exceeded, parameter-problem }"

Range = tuple[ipaddress.IPv4Address, str, int, int]


def ruleset(state: DesiredState, guarded: Sequence[str]) -> str:
    """Return what ``nft -f -`` loads in one transaction, instead of whatever was there.

    ``guarded`` are the machine-side interfaces on which forwarding is off but for us.
    """
    return "\n".join(
        [f"table {TABLE}", f"delete table {TABLE}", f"table {TABLE} {{", *_indented(_table(state, guarded)), "}", ""]
    )


def no_ruleset() -> str:
    """Return what ``nft -f -`` loads to have nothing of ours, whether or not there was any."""
    return f"table {TABLE}\ndelete table {TABLE}\n"


def granted_ranges(devices: Devices) -> list[Range]:
    """Return (device, protocol, first port, last port) for TCP and UDP, sorted, without overlaps or neighbours."""
    wanted = sorted(
        (ipaddress.IPv4Address(device.address), service.protocol, service.first_port, service.last_port)
        for device in devices
        for service in device.services
        if device.address and service.protocol in ("tcp", "udp")
    )
    merged: list[Range] = []
    for address, protocol, first, last in wanted:
        if merged and merged[-1][:2] == (address, protocol) and first <= merged[-1][3] + 1:
            merged[-1] = (address, protocol, merged[-1][2], max(last, merged[-1][3]))
        else:
            merged.append((address, protocol, first, last))
    return merged


def _table(state: DesiredState, guarded: Sequence[str]) -> Iterator[str]:
    for session in state.routed:
        yield from _sets(session)
    yield from _chain("refuse", _refuse())
    plant = _names(state.dev_interfaces) if state.dev_interfaces else None
    for session in state.routed:
        yield from _chain(f"from_{session.interface}", _from_session(session, plant))
        yield from _chain(f"to_{session.interface}", _to_session(session, plant))
        if session.local_addresses:
            yield from _chain(f"local_{session.interface}", _to_own_ports(session))
    yield from _chain("forward", _forward(state, guarded))
    yield from _chain("input", _base("filter", "input", "filter - 10", _input(state)))
    yield from _chain("output", _base("filter", "output", "filter - 10", _output(state)))
    yield from _chain("prerouting", _base("nat", "prerouting", "dstnat", _translate(state, plant)))
    yield from _chain("postrouting", _base("nat", "postrouting", "srcnat", _masquerade(state, plant)))


def _sets(session: SessionNetwork) -> Iterator[str]:
    ranges = granted_ranges(session.devices)
    elements = [
        f"{address} . {protocol} . {first}" if first == last else f"{address} . {protocol} . {first}-{last}"
        for address, protocol, first, last in ranges
    ]
    spread = any(first != last for _, _, first, last in ranges)
    yield from _set(f"services_{session.interface}", "ipv4_addr . inet_proto . inet_service", elements, spread=spread)
    reached = [device for device in session.devices if device.address and device.services]
    echo = {device.address for device in reached for service in device.services if service.protocol == "icmp"}
    yield from _set(f"echo_{session.interface}", "ipv4_addr", _sorted_addresses(echo))
    yield from _set(f"devices_{session.interface}", "ipv4_addr", _sorted_addresses({item.address for item in reached}))
    translated = {item.virtual_address: item.address for item in reached if item.virtual_address}
    own = sorted((ipaddress.IPv4Address(offer.address), offer.port) for offer in offers(session.devices))
    if own:
        served = [f"{address} . tcp . {port}" for address, port in own]
        yield from _set(f"own_{session.interface}", "ipv4_addr . inet_proto . inet_service", served)
    pairs = [
        f"{virtual} : {ipaddress.IPv4Address(translated[virtual])}" for virtual in _sorted_addresses({*translated})
    ]
    yield from _set(f"virtual_{session.interface}", "ipv4_addr : ipv4_addr", pairs, kind_of="map")


def _refuse() -> list[str]:
    return [
        "meta pkttype != host drop",
        f"limit rate over {REFUSALS_PER_SECOND}/second burst {REFUSALS_PER_SECOND} packets drop",
        "meta l4proto tcp reject with tcp reset",
        "reject with icmpx admin-prohibited",
    ]


def _from_session(session: SessionNetwork, plant: str | None) -> list[str]:
    name = session.interface
    service = f"ip daddr . meta l4proto . th dport @services_{name}"
    echo = f"icmp type echo-request ip daddr @echo_{name}"
    rows = [f"ip saddr != {ipaddress.IPv4Address(session.pc)} drop", "ip frag-off & 0x1fff != 0 drop"]
    answer = f"ct state established ct direction reply ct mark {session.mark:#010x}"
    rows += [
        f"oifname {plant} {answer} ip daddr {device} tcp sport {push.pc_port} accept"
        for device, push in _pushes(session)
        if plant
    ]
    for granted in (service, echo) if plant else ():
        rows.append(f"oifname {plant} ct state new {granted} ct mark set {session.mark:#010x} accept")
        rows.append(f"oifname {plant} ct state established ct mark {session.mark:#010x} {granted} accept")
    return [*rows, "goto refuse"]


def _to_session(session: SessionNetwork, plant: str | None) -> list[str]:
    name = session.interface
    rows: list[str] = []
    if plant is None:
        return ["goto refuse"]
    mine = f"iifname {plant} ip daddr {ipaddress.IPv4Address(session.pc)} ct mark {session.mark:#010x}"
    answer = f"{mine} ct state established ct direction reply"
    pushed = f"iifname {plant} ip daddr {ipaddress.IPv4Address(session.pc)} ct direction original"
    for device, push in _pushes(session):
        row = f"{pushed} ip saddr {device} tcp dport {push.pc_port}"
        rows.append(f"{row} ct status dnat ct state new ct mark set {session.mark:#010x} accept")
        rows.append(f"{row} ct state established ct mark {session.mark:#010x} accept")
    return [
        *rows,
        f"{answer} ip saddr . meta l4proto . th sport @services_{name} accept",
        f"{answer} icmp type echo-reply ip saddr @echo_{name} accept",
        f"{mine} ct state related {_ICMP_ERRORS} ct reply ip saddr @devices_{name} accept",
        "goto refuse",
    ]


def _forward(state: DesiredState, guarded: Sequence[str]) -> list[str]:
    rows = [f'iifname "{session.interface}" goto from_{session.interface}' for session in state.routed]
    rows.append(f"iifname {_ANY} goto refuse")
    rows += [f'oifname "{session.interface}" goto to_{session.interface}' for session in state.routed]
    rows.append(f"oifname {_ANY} goto refuse")
    rows.append(f"ct direction reply ct mark & {MARK_MASK:#010x} == {MARK:#010x} drop")
    # A device's own connection whose session is away waits for it, as all do; once there is another session for
    # pushes it waits for nothing, and the device is told so that it connects again.
    verdict = "goto refuse" if any(_pushes(session) for session in state.routed) else "drop"
    if state.dev_interfaces:
        pushed = f"iifname {_names(state.dev_interfaces)} ct direction original"
        rows.append(f"{pushed} ct mark & {MARK_MASK:#010x} == {MARK:#010x} {verdict}")
    if guarded:
        rows.append(f"iifname {_names(guarded)} drop")
    return _base("filter", "forward", "filter - 10", rows)


def _to_own_ports(session: SessionNetwork) -> list[str]:
    mark = f"{session.mark:#010x}"
    served = f"ip daddr . meta l4proto . th dport @own_{session.interface}"
    return [
        f"ip saddr != {ipaddress.IPv4Address(session.pc)} drop",
        f"ct state new {served} ct mark set {mark} accept",
        f"ct state established ct mark {mark} {served} accept",
        "goto refuse",
    ]


def _input(state: DesiredState) -> list[str]:
    rows = [
        f'iifname "{session.interface}" goto local_{session.interface}'
        for session in state.routed
        if session.local_addresses
    ]
    rows.append(f"iifname {_ANY} goto refuse")
    own = {address for session in state.routed for address in session.local_addresses}
    if own:
        rows.append(f"ip daddr {{ {', '.join(_sorted_addresses(own))} }} drop")
    return rows


def _output(state: DesiredState) -> list[str]:
    answers = [
        f'oifname "{session.interface}" ct state established ct direction reply ct mark {session.mark:#010x} '
        f"ip saddr . meta l4proto . th sport @own_{session.interface} accept"
        for session in state.routed
        if session.local_addresses
    ]
    return [
        *answers,
        f"oifname {_ANY} {_ICMP_ERRORS} accept",
        f"oifname {_ANY} tcp flags & rst == rst accept",
        f"oifname {_ANY} drop",
        f"ct direction reply ct mark & {MARK_MASK:#010x} == {MARK:#010x} drop",
    ]


def _translate(state: DesiredState, plant: str | None) -> list[str]:
    rows = [
        f'iifname "{session.interface}" dnat ip to ip daddr map @virtual_{session.interface}'
        for session in state.routed
    ]
    if plant is None:
        return rows
    return rows + [
        f"iifname {plant} ip saddr {device} fib daddr type local tcp dport {push.port} "
        f"dnat ip to {ipaddress.IPv4Address(session.pc)}:{push.pc_port}"
        for session in state.routed
        for device, push in _pushes(session)
    ]


def _masquerade(state: DesiredState, plant: str | None) -> list[str]:
    if plant is None:
        return []
    rows = [
        f"ip saddr {ipaddress.IPv4Address(session.pc)} oifname {plant} ct mark {session.mark:#010x} masquerade"
        for session in state.routed
    ]
    # The PC has a route to its end of the tunnel, and not always one to the device's own address.
    return rows + [
        f'oifname "{session.interface}" ct direction original ct mark {session.mark:#010x} '
        f"snat ip to {ipaddress.IPv4Address(session.gateway)}"
        for session in state.routed
        if _pushes(session)
    ]


def _pushes(session: SessionNetwork) -> list[tuple[ipaddress.IPv4Address, Push]]:
    """Return what each device of a session may open itself."""
    return [(ipaddress.IPv4Address(device.address), push) for device in session.devices for push in device.pushes]


def _base(kind: str, hook: str, priority: str, rows: list[str]) -> list[str]:
    """Policy accept: what is not a session's is not ours to judge; other tables judge it as before."""
    return [f"type {kind} hook {hook} priority {priority}; policy accept;", *rows]


def _chain(name: str, rows: list[str]) -> list[str]:
    return [f"chain {name} {{", *_indented(rows), "}"]


def _set(name: str, kind: str, elements: list[str], *, spread: bool = False, kind_of: str = "set") -> list[str]:
    rows = [f"type {kind};"]
    if spread:
        rows.append("flags interval;")
    if elements:
        rows.append(f"elements = {{ {', '.join(elements)} }};")
    return [f"{kind_of} {name} {{", *_indented(rows), "}"]


def _names(interfaces: Sequence[str]) -> str:
    return "{ " + ", ".join(f'"{name}"' for name in sorted(set(interfaces))) + " }"


def _sorted_addresses(addresses: set[str]) -> list[str]:
    return [str(address) for address in sorted(ipaddress.IPv4Address(text) for text in addresses)]


def _indented(rows: Sequence[str] | Iterator[str]) -> list[str]:
    return [f"\t{row}" for row in rows]

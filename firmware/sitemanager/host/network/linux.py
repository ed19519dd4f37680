"""The network of a Linux host: TAP adapters, addresses, forwarding, nftables.

Order is what keeps this closed. The rules come first and name adapters that are not there yet; then forwarding, then
the adapters. On the way back the adapters go first, then forwarding, the rules last. An adapter is not persistent: it
goes with its descriptor, and with it its address, route and neighbour.
"""

from __future__ import annotations

import ipaddress
import re
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Final

from gatelink.exceptions import TapError
from gatelink.tunnel.tap import Tap, open_tap
from gatelink.tunnel_mac import tunnel_mac
from sitemanager.core.admission import HostNetwork
from sitemanager.core.desired import INTERFACE_PREFIX, DesiredState, SessionNetwork
from sitemanager.core.rules import TABLE, no_ruleset, ruleset
from sitemanager.exceptions import NetworkError

from . import programs, sysctls
from .bridged import Bridged
from .forwarding import Forwarding

_OURS: Final = re.compile(rf"{INTERFACE_PREFIX}\d{{1,6}}")
_TAP_SETTINGS: Final = (
    ("ipv6", "disable_ipv6", "1"),
    ("ipv4", "accept_redirects", "0"),
    ("ipv4", "send_redirects", "0"),
    ("ipv4", "accept_source_route", "0"),
    ("ipv4", "rp_filter", "1"),
    ("ipv4", "forwarding", "1"),
)


class LinuxNetwork:
    """See ``Network``. ``report`` gets one line about what is odd but no error."""

    def __init__(self, runtime: Path, report: Callable[[str], None]) -> None:
        self._forwarding = Forwarding(runtime)
        self._bridged = Bridged(runtime)
        self._report = report
        self._taps: dict[str, tuple[SessionNetwork, Tap]] = {}
        self._missing: list[str] = []
        self._desired = DesiredState()
        self._loaded = ""
        """The rules as the kernel shows them."""

    def networks(self) -> list[HostNetwork]:
        """Return the networks of all addresses and of all routes but the default one, without those of sessions."""
        found = []
        for link in programs.ask_ip("-4", "address", "show"):
            for entry in link.get("addr_info", ()):
                name, local = str(link.get("ifname", "")), entry.get("local")
                if local is not None:
                    address = ipaddress.IPv4Interface(f"{local}/{entry.get('prefixlen', 32)}")
                    found.append(HostNetwork(address.network, name, address.ip))
        for route in programs.ask_ip("-4", "route", "show"):
            target = route.get("dst", "default")
            if target != "default":
                found.append(HostNetwork(ipaddress.IPv4Network(target), str(route.get("dev", route.get("type", "")))))
        return found

    def free_interface(self) -> str:
        """Return the first name of ``gls0``, ``gls1``, ... that no interface has."""
        taken = _interfaces() | self._taps.keys()
        return next(name for number in range(len(taken) + 1) if (name := f"{INTERFACE_PREFIX}{number}") not in taken)

    def tap(self, interface: str) -> Tap:
        """Return the open adapter of a session that was applied."""
        return self._taps[interface][1]

    def apply(self, desired: DesiredState) -> None:
        """Put exactly this state in force. Raises NetworkError."""
        wanted = {session.interface: session for session in desired.sessions}
        for interface, (session, tap) in list(self._taps.items()):
            if interface not in wanted or not _same_segment(session, wanted[interface]):
                del self._taps[interface]
                tap.close()
        if not wanted:
            self._bridged.clean_up()
            self._rest(desired)
            return
        self._load(desired)
        self._turn_on(desired.dev_interfaces)
        for interface, session in wanted.items():
            if interface not in self._taps:
                self._taps[interface] = (session, _open(session))
                continue
            before, tap = self._taps[interface]
            _change_addresses(before, session)
            self._taps[interface] = (session, tap)
        self._bridged.apply(desired.bridged, desired.dev_interfaces, self.networks)

    def verify(self) -> list[str]:
        """Put back what others changed: a firewall loaded anew, forwarding turned off. Raises NetworkError."""
        if not self._taps:
            return []
        interfaces = (*self._desired.dev_interfaces, *self._taps)
        off = [name for name in interfaces if sysctls.read("ipv4", name, "forwarding") == "0"]
        repaired = [f"forwarding was off on {name}; it is on again" for name in off]
        if programs.nft_list(TABLE) != self._loaded:
            repaired.append("somebody changed or removed the rules of the sessions; they are loaded again")
        repaired += self._bridged.verify()
        if repaired:
            # The rules come first: an interface that has just appeared is guarded before it forwards.
            self._load(self._desired)
            for name in off:
                sysctls.write("ipv4", name, "forwarding", "1")
        return repaired

    def clean_up(self) -> None:
        """Remove everything of ours, whoever left it. Raises NetworkError."""
        for _, tap in self._taps.values():
            tap.close()
        self._taps.clear()
        self._bridged.clean_up()
        self._remove_adapters()
        self._forwarding.restore()
        # An adapter that somebody else holds open is closed by rules that know no session.
        programs.nft(ruleset(DesiredState(), ()) if _ours() else no_ruleset())

    def _load(self, desired: DesiredState) -> None:
        programs.nft(ruleset(desired, self._forwarding.prepare(desired.dev_interfaces)))
        self._desired = desired
        self._loaded = programs.nft_list(TABLE)

    def _rest(self, desired: DesiredState) -> None:
        """No session: no adapter, no forwarding, but rules."""
        self._remove_adapters()
        self._forwarding.restore()
        programs.nft(ruleset(desired, ()))

    def _remove_adapters(self) -> None:
        for interface in sorted(_ours()):
            programs.ip([f"link delete dev {interface}"])

    def _turn_on(self, dev_interfaces: tuple[str, ...]) -> None:
        missing = self._forwarding.turn_on(dev_interfaces)
        for interface in missing:
            if interface not in self._missing:
                self._report(f"the machine side {interface} does not exist; devices behind it cannot be reached")
        self._missing = missing


def _open(session: SessionNetwork) -> Tap:
    name = session.interface
    try:
        tap = open_tap(name, mac=bytes.fromhex(tunnel_mac(session.gateway).replace(":", "")))
    except TapError as error:
        raise NetworkError(str(error)) from None
    try:
        for family, setting, value in _TAP_SETTINGS:
            sysctls.write(family, name, setting, value)  # type: ignore[arg-type]
        programs.ip(_commands(session))
    except BaseException:
        tap.close()
        raise
    return tap


def _commands(session: SessionNetwork) -> list[str]:
    """No ARP and no multicast: both ends know each other's address (``tunnel_mac``), and nobody else is there.

    A bridged one has no address and stays down until its rules are loaded: ``Bridged``.
    """
    name = session.interface
    if session.mode == "bridged":
        return [f"link set dev {name} arp off multicast off"]
    return [
        f"link set dev {name} arp off multicast off",
        f"address add {session.gateway}/{session.prefix_length} dev {name} scope link",
        *(f"address add {address}/32 dev {name} scope link" for address in session.local_addresses),
        f"link set dev {name} up",
        f"neighbour replace {session.pc} lladdr {tunnel_mac(session.pc)} nud permanent dev {name}",
    ]


def _change_addresses(before: SessionNetwork, after: SessionNetwork) -> None:
    old, new = set(before.local_addresses), set(after.local_addresses)
    commands = [f"address del {address}/32 dev {after.interface}" for address in sorted(old - new)]
    commands += [f"address replace {address}/32 dev {after.interface} scope link" for address in sorted(new - old)]
    if commands:
        programs.ip(commands)


def _same_segment(one: SessionNetwork, other: SessionNetwork) -> bool:
    mine = (one.pc, one.gateway, one.prefix_length, one.mode)
    return mine == (other.pc, other.gateway, other.prefix_length, other.mode)


def _ours() -> set[str]:
    return {name for name in _interfaces() if _OURS.fullmatch(name)}


def _interfaces() -> set[str]:
    """Those of this network namespace; /sys may show another one's."""
    return {name for _, name in socket.if_nameindex()}

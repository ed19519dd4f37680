"""What the doctor says: a verdict and a next step for each thing that it looked at. No I/O."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from ipaddress import IPv4Address
from typing import Final, Literal

import msgspec

from lm_client.service.rules import KernelRoute

Verdict = Literal["good", "warn", "bad"]
_VPN_PREFIXES: Final = (
    "tun",
    "wg",
    "ppp",
    "tap",
    "utun",
    "ipsec",
    "tailscale",
    "zt",
    "nordlynx",
    "gpd",
    "cscotun",
    "vpn",
)
CLOCK_WARN_S: Final = 30.0
"""TOTP codes are 30 s long: further off they are wrong."""
CLOCK_BAD_S: Final = 300.0


class Finding(msgspec.Struct, frozen=True):
    """``what`` is the thing looked at, by a word that stays the same; ``next_step`` is empty where all is well."""

    what: str
    verdict: Verdict
    text: str
    next_step: str = ""


def is_vpn(interface: str) -> bool:
    """Whether an interface is named as those of VPNs are; our own adapters (gl0, ...) are none."""
    return interface.lower().startswith(_VPN_PREFIXES)


def clock_finding(gm_time_s: float, own_time_s: float) -> Finding:
    """Compare the PC's clock with the GateManager's."""
    off_s = own_time_s - gm_time_s
    if abs(off_s) <= CLOCK_WARN_S:
        return Finding("clock", "good", "this PC's clock agrees with the GateManager's")
    way = "ahead of" if off_s > 0 else "behind"
    text = f"this PC's clock is {_span(abs(off_s))} {way} the GateManager's"
    step = "set the clock (or switch network time on): codes of authenticator apps and certificates depend on it"
    return Finding("clock", "bad" if abs(off_s) > CLOCK_BAD_S else "warn", text, step)


def route_findings(
    routes: Sequence[KernelRoute], gm_addresses: Iterable[str], devices: Mapping[str, str]
) -> list[Finding]:
    """Say which VPN or network of the PC is in the way of the GateManager or of devices (address to name)."""
    found: list[Finding] = []
    for address in gm_addresses:
        route = best_route(routes, address)
        if route is None:
            step = "connect the cable or the Wi-Fi"
            found.append(Finding("routes", "bad", f"no route leads to the GateManager ({address})", step))
        elif is_vpn(route.interface):
            text = f"the way to the GateManager ({address}) goes through the VPN {route.interface}"
            step = f"if it is slow or does not answer, disconnect {route.interface}, or except {address} from it"
            found.append(Finding("vpn", "warn", text, step))
    hidden: dict[tuple[str, str], list[str]] = {}
    for address, name in devices.items():
        route = best_route(routes, address)
        if route and route.destination.prefixlen >= 8 and not route.interface.startswith("gl"):
            hidden.setdefault((str(route.destination), route.interface), []).append(name)
    for (network, interface), names in hidden.items():
        shown = ", ".join(names[:4]) + (f" and {len(names) - 4} more" if len(names) > 4 else "")
        kind = "the VPN" if is_vpn(interface) else "this PC's network on"
        text = f"{kind} {interface} has {network}, where {shown} would be as well"
        step = "nothing to do: they are reached at virtual addresses; to have their own, `lm connect --real`"
        found.append(Finding("vpn" if is_vpn(interface) else "overlap", "warn", text, step))
    return found or [Finding("routes", "good", "no other network of this PC is in the way")]


def best_route(routes: Sequence[KernelRoute], address: str) -> KernelRoute | None:
    """Return the route of the longest prefix that leads to an address."""
    wanted = IPv4Address(address)
    fitting = [route for route in routes if wanted in route.destination and route.kind in ("unicast", "local")]
    return max(fitting, key=lambda route: route.destination.prefixlen, default=None)


def worst(findings: Iterable[Finding]) -> Verdict:
    """Return the worst verdict."""
    verdicts = {finding.verdict for finding in findings}
    return "bad" if "bad" in verdicts else "warn" if "warn" in verdicts else "good"


def _span(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.0f} h"

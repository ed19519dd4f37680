"""The network ports of this unit, for people who choose among them."""

from __future__ import annotations

import re
from typing import Any, Final

from sitemanager.core.desired import INTERFACE_PREFIX
from sitemanager.core.local_requests import PortView

from .network import programs
from .network.uplinks import ways_out

_NOT_PORTS: Final = re.compile(rf"lo|{INTERFACE_PREFIX}\d+|docker\d+|veth.*|sit\d+|ip6tnl\d+|tunl\d+|gre.*|erspan\d+")

_MODEM: Final = "wwan"
"""A modem's interface, which has no Ethernet frames."""


def ports() -> tuple[PortView, ...]:
    """Return the ports with their addresses, by name; ``default``: the way out leads by it. Raises NetworkError."""
    ways = ways_out()
    found = []
    for link in programs.ask_ip("address", "show"):
        name = str(link.get("ifname", ""))
        if not _is_port(name, link):
            continue
        addresses = tuple(
            f"{entry['local']}/{entry.get('prefixlen', 32)}"
            for entry in link.get("addr_info", ())
            if entry.get("family") == "inet" and entry.get("local")
        )
        flags = link.get("flags", ())
        found.append(
            PortView(
                name=name,
                mac=str(link.get("address", "")),
                carrier="LOWER_UP" in flags and "NO-CARRIER" not in flags,
                addresses=addresses,
                default=name in ways,
            )
        )
    return tuple(sorted(found, key=lambda port: port.name))


def _is_port(name: str, link: dict[str, Any]) -> bool:
    is_wired = link.get("link_type") == "ether" and _NOT_PORTS.fullmatch(name) is None
    return is_wired or name.startswith(_MODEM)

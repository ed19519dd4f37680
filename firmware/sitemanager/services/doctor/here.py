"""This unit's own ends: cables, addresses, somebody else with our address."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Sequence
from typing import Any

from sitemanager.core.admission import HostNetwork
from sitemanager.core.diagnosis import Finding
from sitemanager.core.discovery import arp
from sitemanager.exceptions import NetworkError
from sitemanager.host.network import programs
from sitemanager.host.network.uplinks import ways_out
from sitemanager.host.probes.ethernet import EthernetPort

_PROBES = 2
_PATIENCE_S = 0.4


def cables(dev_interfaces: Sequence[str]) -> tuple[Finding, ...]:
    """Say where a cable is missing. Raises NetworkError."""
    links = {str(link["ifname"]): link for link in programs.ask_ip("link", "show")}
    uplinks = ways_out()
    findings = [_cable(name, links.get(name), "machine side") for name in dev_interfaces]
    findings += [_cable(name, links.get(name), "uplink") for name in dict.fromkeys(uplinks)]
    if not uplinks:
        others = [
            _cable(name, link, "interface")
            for name, link in links.items()
            if name not in dev_interfaces and "LOOPBACK" not in link["flags"] and not name.startswith("gls")
        ]
        findings += [finding for finding in others if finding.verdict != "good"]
        step = "plug the uplink's cable in; with a fixed address, set its gateway"
        findings.append(Finding("route", "fault", "there is no way out: no default gateway", step))
    return tuple(findings)


def _cable(name: str, link: dict[str, Any] | None, what: str) -> Finding:
    if link is None:
        return Finding(
            "cable", "fault", f"the {what} {name} does not exist", "look at the adapter, or name another port"
        )
    if "UP" not in link["flags"]:
        return Finding("cable", "fault", f"the {what} {name} is switched off", f"ip link set {name} up")
    if "LOWER_UP" not in link["flags"]:
        step = "look at both plugs, the switch's port and its power"
        return Finding("cable", "fault", f"no cable, or nobody at its other end, at the {what} {name}", step)
    return Finding("cable", "good", f"{what} {name} is connected")


async def duplicates(networks: Sequence[HostNetwork]) -> tuple[Finding, ...]:
    """Ask in each network whether somebody else has our address (RFC 5227)."""
    findings = []
    for known in networks:
        if known.address is None or known.address.is_loopback or known.interface.startswith("gls"):
            continue
        other = await _owner(known.interface, str(known.address))
        if other:
            step = "give one of the two another address; until then connections come and go"
            text = f"{known.address} on {known.interface} is used by somebody else as well (MAC {other})"
            findings.append(Finding("duplicate", "fault", text, step))
    return tuple(findings) or (Finding("duplicate", "good", "nobody else has our addresses"),)


async def _owner(interface: str, address: str) -> str:
    answered: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    def hear(frame: bytes) -> None:
        identity = arp.parse(frame)
        if identity is not None and identity.address == address and not answered.done():
            answered.set_result(identity.mac)

    with contextlib.suppress(NetworkError, TimeoutError), contextlib.closing(_port(interface, hear)) as port:
        for _ in range(_PROBES):
            port.send(arp.request(port.mac, address))
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_PATIENCE_S):
                    return await asyncio.shield(answered)
    return ""


def _port(interface: str, hear: Callable[[bytes], None]) -> EthernetPort:
    return EthernetPort(interface, arp.ETHERTYPE, hear)

"""What the doctor found, in plain words, and the letter to whoever runs the site's network. No I/O."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator, Sequence
from typing import Final, Literal

import msgspec

from .admission import HostNetwork
from .local import LocalAnswer, LocalRequest

Verdict = Literal["good", "warning", "fault", "unknown"]
_SIGNS: Final = {"good": "ok", "warning": "LOOK", "fault": "FAULT", "unknown": "?"}
CLOCK_TOLERANCE_S: Final = 60.0


class Finding(msgspec.Struct, frozen=True):
    """One check: ``text`` says what was seen, ``next_step`` what to do; empty where nothing is to be done."""

    check: str
    verdict: Verdict
    text: str
    next_step: str = ""


class DoctorRequest(LocalRequest, frozen=True):
    """Look at everything: some seconds."""


class DoctorAnswer(LocalAnswer, frozen=True):
    """What was found, most basic first, and a letter to the site's IT department, ready to be sent."""

    findings: tuple[Finding, ...]
    letter: str


class Needs(msgspec.Struct, frozen=True):
    """What a site's network has to allow."""

    addresses: tuple[str, ...]
    ports: tuple[int, ...]
    own_address: str
    own_mac: str
    proxies: tuple[str, ...]


def overlap_findings(networks: Sequence[HostNetwork], dev_interfaces: Sequence[str]) -> Iterator[Finding]:
    """Say whether the machine's network and the site's are apart: else nobody knows where an address is."""
    plant = [known for known in networks if known.interface in dev_interfaces and known.address is not None]
    others = [known for known in networks if known.interface not in (*dev_interfaces, "lo") and known.network.prefixlen]
    found = False
    for machine in plant:
        for other in others:
            if machine.network.overlaps(other.network):
                found = True
                yield Finding(
                    "networks",
                    "fault",
                    f"the machine side {machine.interface} ({machine.network}) and {other.interface} ({other.network}) "
                    "have the same addresses",
                    "give one of the two another network; until then devices may be looked for on the wrong side",
                )
    if plant and not found:
        yield Finding("networks", "good", "machine side and uplink have different networks")


def clock_finding(gm_unix_s: float, system_unix_s: float) -> Finding:
    """Say whether the system clock is right, by the GateManager's."""
    off_s = system_unix_s - gm_unix_s
    if abs(off_s) <= CLOCK_TOLERANCE_S:
        return Finding("clock", "good", "agrees with the GateManager's")
    words = f"{abs(off_s) / 86400:.0f} days" if abs(off_s) > 2 * 86400 else f"{abs(off_s) / 60:.0f} minutes"
    return Finding(
        "clock",
        "warning",
        f"is {words} {'ahead' if off_s > 0 else 'behind'}; the GateManager's time is used instead",
        "nothing has to be done; for right times in other programs: sm config set set_system_clock true, or NTP",
    )


def portal_finding(address: str, answer: bytes) -> Finding | None:
    """Judge what port 80 of the GateManager says to a browser's question; None if that says nothing."""
    head = answer.partition(b"\r\n\r\n")[0].decode("latin-1").split("\r\n")
    words = head[0].split(" ")
    if len(words) < 2 or not words[0].startswith("HTTP/"):
        return None
    location = next((row.partition(":")[2].strip() for row in head if row.lower().startswith("location:")), "")
    if words[1] == "308" and location.startswith("https://"):
        return Finding("portal", "good", "web requests reach the GateManager itself")
    to = f" and sends browsers to {location[:120]}" if location else ""
    return Finding(
        "portal",
        "fault",
        f"somebody else answers in the place of {address} port 80 ({words[1]}){to}: a captive portal or a web filter",
        "log in to that portal once from this network, or let the IT department except this unit (the letter says how)",
    )


def address_findings(networks: Sequence[HostNetwork], dev_interfaces: Sequence[str]) -> Iterator[Finding]:
    """Say whether each side has an address."""
    usable = [known for known in networks if known.address is not None and not known.address.is_loopback]
    for interface in dev_interfaces:
        own = [f"{known.address}/{known.network.prefixlen}" for known in usable if known.interface == interface]
        if own:
            yield Finding("address", "good", f"machine side {interface}: {', '.join(own)}")
        else:
            step = "sm config set dev_address 10.0.0.1/24, with an address of the machine's network"
            yield Finding("address", "fault", f"the machine side {interface} has no address", step)
    up = [known for known in usable if known.interface not in dev_interfaces and not known.interface.startswith("gls")]
    link_local = ipaddress.IPv4Network("169.254.0.0/16")
    if not up or all(known.network.subnet_of(link_local) for known in up):
        step = "look at the site's DHCP server, or give this unit a fixed address, mask and gateway"
        yield Finding("address", "fault", "the uplink has no address", step)
    else:
        yield Finding("address", "good", f"uplink: {', '.join(f'{one.address} on {one.interface}' for one in up)}")


def letter(needs: Needs, findings: Sequence[Finding]) -> str:
    """Return the letter: exactly what to open, and what was seen."""
    ports = ", ".join(map(str, needs.ports))
    rows = [
        "Dear colleagues,",
        "",
        "the machine in your plant has a gateway for remote maintenance. It only makes connections outwards; nothing",
        "has to be reachable from outside. Please allow for it:",
        "",
        f"  from     {needs.own_address or '(no address yet)'}{f'  (MAC {needs.own_mac})' if needs.own_mac else ''}",
        f"  to       {', '.join(needs.addresses) or '(the GateManager; not set yet)'}",
        f"  by       TCP, destination port {ports}; the first is enough, the others are used when it is closed",
        "",
        "Please do not open (inspect, re-sign) the TLS in it: both ends know each other's certificate and refuse every",
        "other one. Long-lived connections must not be cut while they are silent for less than 60 seconds.",
    ]
    if any(not _is_number(address) for address in needs.addresses):
        rows += ["Names must be resolved: please allow DNS (UDP and TCP port 53) to your name server."]
    if needs.proxies:
        rows += [f"It may use your proxy ({', '.join(needs.proxies)}), which must allow CONNECT to these ports."]
    faults = [finding for finding in findings if finding.verdict == "fault"]
    if faults:
        rows += ["", "What the gateway sees now:", *(f"  - {finding.check}: {finding.text}" for finding in faults)]
    return "\n".join([*rows, "", "Thank you.", ""])


def finding_rows(findings: Sequence[Finding]) -> Iterator[str]:
    """Return the findings for people."""
    for finding in findings:
        yield f"{_SIGNS[finding.verdict]:6}{finding.check:12}{finding.text}"
        if finding.next_step:
            yield f"{'':18}-> {finding.next_step}"


def _is_number(address: str) -> bool:
    try:
        ipaddress.ip_address(address)
    except ValueError:
        return False
    return True

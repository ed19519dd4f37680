"""The way to the GateManager: names, ports, proxies, and whether it is the GateManager that answers."""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from collections.abc import Sequence
from typing import Final

import msgspec

from gatelink.certificates import key_sha256
from gatelink.exceptions import LinkError
from gatelink.link.contact import ask_hello
from gatelink.link.endpoints import Endpoint
from gatelink.pins import Pin, describe
from sitemanager.core.diagnosis import Finding, clock_finding

LOOKUP_S: Final = 5.0
CONTACT_S: Final = 8.0


class Contacts(msgspec.Struct, frozen=True):
    """What was seen at the GateManager's addresses."""

    findings: tuple[Finding, ...]
    reached: bool


async def names(addresses: Sequence[str]) -> tuple[Finding, ...]:
    """Look each name up."""
    findings = []
    for address in addresses:
        if _is_number(address):
            continue
        step = "look at the name server that the site's DHCP gives out; or name the GateManager by its IP address too"
        try:
            async with asyncio.timeout(LOOKUP_S):
                found = await asyncio.get_running_loop().getaddrinfo(address, None, type=socket.SOCK_STREAM)
            listed = ", ".join(dict.fromkeys(str(entry[4][0]) for entry in found))
            findings.append(Finding("DNS", "good", f"{address} is {listed}"))
        except TimeoutError:
            findings.append(Finding("DNS", "fault", f"no name server answers for {address}", step))
        except OSError as error:
            text = f"{address} cannot be looked up: {error.strerror or error}"
            findings.append(Finding("DNS", "fault", text, step))
    return tuple(findings)


async def contacts(ways: Sequence[Endpoint], pin: Pin | None, now: float) -> Contacts:
    """Try every way at the same time."""
    results = await asyncio.gather(*(_contact(way, pin, now) for way in ways))
    findings = [finding for result in results for finding in result]
    reached = any(finding.verdict == "good" for finding in findings)
    clocks = [finding for finding in findings if finding.check == "clock"][:1]
    ports = [_milder(finding) if reached else finding for finding in findings if finding.check != "clock"]
    return Contacts((*ports, *clocks), reached)


def _milder(finding: Finding) -> Finding:
    """One closed port is no fault while another one is open."""
    is_closed = finding.verdict == "fault" and finding.check == "port"
    return msgspec.structs.replace(finding, verdict="warning") if is_closed else finding


async def _contact(way: Endpoint, pin: Pin | None, now: float) -> tuple[Finding, ...]:
    check = "proxy" if way.proxy else "port"
    try:
        async with asyncio.timeout(CONTACT_S):
            hello, certificate = await ask_hello(way)
    except TimeoutError:
        return (Finding(check, "fault", f"{way}: no answer within {CONTACT_S:.0f} s", _step(way)),)
    except LinkError as error:
        return (Finding(check, "fault", str(error), _step(way)),)
    if pin is not None and key_sha256(certificate) == pin.key_sha256:
        good = Finding(check, "good", f"{way}: the GateManager answers")
        return (good, clock_finding(hello.unix_time_s, now)) if hello is not None else (good,)
    return (_stranger(way, certificate, pin, spoke=hello is not None),)


def _stranger(way: Endpoint, certificate: bytes, pin: Pin | None, *, spoke: bool) -> Finding:
    issuer, subject = _names(certificate)
    if issuer != subject:
        return Finding(
            "TLS",
            "fault",
            f"{way}: the connection is opened on its way and signed anew by {issuer!r} (TLS inspection)",
            "the IT department must except the GateManager from TLS inspection; the letter says so",
        )
    if pin is None:
        if spoke:
            return Finding("port", "good", f"{way}: a GateManager answers, {describe(certificate)}; not adopted yet")
        return Finding("port", "fault", f"{way}: {subject!r} answers, and is no GateManager", "check the address")
    return Finding(
        "pin",
        "fault",
        f"{way}: another certificate than the pinned one: {describe(certificate)}; expected {pin.describe()}",
        "do not go on: ask who runs the GateManager. Was it set up anew without its backup, enrol this unit anew",
    )


def _step(way: Endpoint) -> str:
    if way.proxy is not None:
        return "check the proxy's address, user name and password; it must allow CONNECT to this port"
    return "let the firewall of the site allow it (the letter says what), or enter the site's HTTP proxy"


def _names(certificate: bytes) -> tuple[str, str]:
    from cryptography import x509  # late: see ``gatelink.certificates``

    try:
        parsed = x509.load_der_x509_certificate(certificate)
        return parsed.issuer.rfc4514_string()[:120], parsed.subject.rfc4514_string()[:120]
    except ValueError:
        return "?", "a damaged certificate"


def _is_number(address: str) -> bool:
    try:
        ipaddress.ip_address(address)
    except ValueError:
        return False
    return True

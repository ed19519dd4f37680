"""Names, ports and who answers there: the GateManager, nobody, a firewall of this PC, or a device that inspects TLS."""

from __future__ import annotations

import asyncio
import errno
import socket
import time
from pathlib import Path
from typing import Final, NamedTuple

from cryptography import x509

from gatelink.exceptions import GatelinkError
from gatelink.identity import fingerprint_text, serial_text
from gatelink.link.contact import ask_hello
from gatelink.link.endpoints import Endpoint
from gatelink.pins import Pin, follow
from lm_client.config import Config
from lm_client.core.findings import Finding, clock_finding
from lm_client.home import Profile

PORTS: Final = (443, 11444, 80)
"""All that a GateManager listens on; the settings may name fewer."""
TIMEOUT_S: Final = 5.0
_RESOLVE_S: Final = 5.0
_NETSTAT: Final = Path("/proc/net/netstat")


class Ways(NamedTuple):
    """``addresses`` are IPv4 addresses of the GateManager, ``is_open`` whether a configured way works."""

    findings: list[Finding]
    addresses: tuple[str, ...]
    is_open: bool


class _Way(NamedTuple):
    endpoint: Endpoint
    state: str
    """open, silent, refused, blocked, foreign, unreachable"""
    text: str
    gm_time_s: float | None = None


async def way_findings(profile: Profile, config: Config) -> Ways:
    """Try every port of every address at once."""
    findings: list[Finding] = []
    addresses: list[str] = []
    pin = Pin(profile.pin_certificate, profile.pin_how) if profile.pin_certificate else None
    for host in dict.fromkeys(profile.addresses + profile.learnt_addresses):
        resolved = await _resolve(host)
        if isinstance(resolved, Finding):
            findings.append(resolved)
            continue
        addresses += resolved
        if resolved and resolved != [host]:
            findings.append(Finding("dns", "good", f"{host} is {', '.join(resolved)}"))
        ports = tuple(dict.fromkeys((*config.link.ports, *PORTS)))
        before = _failed_retransmissions()
        found = await asyncio.gather(*(_try(Endpoint(host, port), pin) for port in ports))
        found = _blame_own_firewall(found, _failed_retransmissions() - before)
        findings += _judge(host, found, config.link.ports)
        for way in found:
            if way.gm_time_s is not None:
                findings.append(clock_finding(way.gm_time_s, time.time()))
                break
    configured_open = any(f.what == "ports" and f.verdict == "good" for f in findings)
    return Ways(findings, tuple(dict.fromkeys(addresses)), configured_open)


def _failed_retransmissions() -> int:
    """Return the kernel's counter of segments that could not even leave this PC; 0 where there is none.

    A firewall of this PC that drops is silent to ``connect``: but the kernel counts what it could not send again.
    """
    try:
        names, values = [
            line.split() for line in _NETSTAT.read_text(encoding="ascii").splitlines() if line.startswith("TcpExt:")
        ]
        return int(dict(zip(names, values, strict=True))["TCPRetransFail"])
    except (OSError, ValueError, KeyError):
        return 0


def _blame_own_firewall(ways: list[_Way], failed: int) -> list[_Way]:
    """Each silent way was sent again at least once: if none of that left the PC, nothing outside is to blame."""
    silent = [way for way in ways if way.state == "silent"]
    if not silent or failed < len(silent):
        return ways
    blocked = "a firewall on this PC drops it"
    return [way._replace(state="blocked", text=blocked) if way.state == "silent" else way for way in ways]


async def _resolve(host: str) -> list[str] | Finding:
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout(_RESOLVE_S):
            answers = await loop.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except TimeoutError:
        said = f"no answer within {_RESOLVE_S:.0f} s"
    except OSError as error:
        said = error.strerror or str(error)
    else:
        return list(dict.fromkeys(str(address[0]) for family, *_, address in answers if family == socket.AF_INET))
    step = "check the name for a typing error and this PC's DNS server; ask for the GateManager's IP address"
    return Finding("dns", "bad", f"the name {host} is not found: {said}", step)


async def _try(endpoint: Endpoint, pin: Pin | None) -> _Way:
    try:
        async with asyncio.timeout(TIMEOUT_S):
            probe = await _tcp(endpoint)
            if probe is not None:
                return probe
            hello, certificate = await ask_hello(endpoint)
    except TimeoutError:
        return _Way(endpoint, "silent", "no answer")
    except GatelinkError as error:
        return _Way(endpoint, "unreachable", str(error))
    own = hello is not None
    if own and pin is not None and hello is not None:
        try:
            if certificate != pin.certificate:
                follow(pin, hello.statements, certificate)
        except GatelinkError:
            own = False
    if not own or (pin is not None and hello is None):
        return _Way(endpoint, "foreign", _describe(certificate))
    return _Way(endpoint, "open", "", hello.unix_time_s if hello else None)


async def _tcp(endpoint: Endpoint) -> _Way | None:
    """Connect; None if it works. The kernel says "not permitted" when a firewall of this PC drops what leaves it."""
    loop = asyncio.get_running_loop()
    try:
        answers = await loop.getaddrinfo(endpoint.address, endpoint.port, type=socket.SOCK_STREAM)
        family, kind, protocol, _, address = answers[0]
        with socket.socket(family, kind, protocol) as connection:
            connection.setblocking(False)
            await loop.sock_connect(connection, address)
    except OSError as error:
        if error.errno in (errno.EPERM, errno.EACCES):
            return _Way(endpoint, "blocked", "a firewall on this PC forbids it")
        if error.errno == errno.ECONNREFUSED:
            return _Way(endpoint, "refused", "refused")
        return _Way(endpoint, "unreachable", error.strerror or str(error))
    return None


def _judge(host: str, ways: list[_Way], configured: tuple[int, ...]) -> list[Finding]:
    findings: list[Finding] = []
    opened = [way.endpoint.port for way in ways if way.state == "open"]
    usable = [port for port in configured if port in opened]
    foreign = [way for way in ways if way.state == "foreign"]
    blocked = [way.endpoint.port for way in ways if way.state == "blocked"]
    if foreign:
        where = ", ".join(str(way.endpoint.port) for way in foreign)
        text = f"on port {where} of {host} somebody else answers: {foreign[0].text}"
        step = (
            "something between here and the GateManager inspects TLS, or it is not the GateManager: let IT except it "
            "from inspection; compare the serial with your administrator"
        )
        findings.append(Finding("tls-inspection", "bad" if not usable else "warn", text, step))
    if blocked:
        text = f"a firewall on this PC keeps TCP from {host} port {_listed(blocked)}"
        step = f"allow outgoing TCP to {host} in it (nft list ruleset, ufw status, firewall-cmd --list-all)"
        findings.append(Finding("local-firewall", "bad" if not usable else "warn", text, step))
    closed = [f"{way.endpoint.port} ({way.text})" for way in ways if way.state in ("silent", "refused", "unreachable")]
    if usable:
        also = f"; not on {', '.join(closed)}" if closed else ""
        findings.append(Finding("ports", "good", f"the GateManager answers on port {_listed(usable)} of {host}{also}"))
    elif opened:
        text = f"{host} answers on port {_listed(opened)}, but not on {_listed(configured)} as set"
        step = f"set ports = [{opened[0]}] under [link] in config.toml"
        findings.append(Finding("ports", "bad", text, step))
    elif not foreign:
        text = f"no port of {host} answers: {', '.join(closed) or _listed(blocked)}"
        step = f"a firewall of the office must allow TCP to {host} port 443, 11444 or 80; or use a proxy"
        findings.append(Finding("ports", "bad", text, step))
    return findings


def _describe(certificate: bytes) -> str:
    """Name a foreign certificate as people find it: inspecting devices write their own name into it."""
    try:
        parsed = x509.load_der_x509_certificate(certificate)
        issuer = parsed.issuer.rfc4514_string()[:100]
        return f"a certificate by {issuer}, serial {serial_text(certificate)}"
    except (ValueError, GatelinkError):
        return f"a certificate that is none ({fingerprint_text(certificate[:32])})"


def _listed(ports: list[int] | tuple[int, ...]) -> str:
    return ", ".join(map(str, ports))

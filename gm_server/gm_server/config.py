"""The settings file ``config.toml``: typed, unknown keys refused, every mistake reported at once with its key path."""

from __future__ import annotations

import ipaddress
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Final

import msgspec
from msgspec import Meta

from gatelink.exceptions import InputError
from gatelink.link.endpoints import check_address
from gatelink.settings import convert
from gatelink.wire import KEEPALIVE_S, PORTS

from .names import check_text

SCHEMA: Final = 1
Count = Annotated[int, Meta(ge=1, le=1_000_000)]


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """What strangers can use up at most."""

    pending_connections: Count = 4096
    pending_per_address: Count = 64
    handshakes: Count = 32
    web_connections: Count = 256
    web_per_address: Count = 32
    enrolments: Count = 32
    waiting_appliances: Count = 256
    sessions_per_user: Count = 16
    api_requests_per_s: Count = 20


class Config(msgspec.Struct, frozen=True, kw_only=True):
    """All settings with their defaults; ``render`` explains each to its reader."""

    schema: int = SCHEMA
    name: Annotated[str, Meta(min_length=1, max_length=64)] = "GateManager"
    addresses: Annotated[tuple[str, ...], Meta(min_length=1, max_length=16)] = ("gm.example.com",)
    listen: Annotated[tuple[str, ...], Meta(min_length=1, max_length=32)] = tuple(
        f"{host}:{port}" for port in PORTS for host in ("0.0.0.0", "[::]")
    )
    keepalive_s: Annotated[float, Meta(ge=1, le=3600)] = KEEPALIVE_S
    tunnel_network: str = "198.18.0.0/15"
    virtual_network: str = "100.96.0.0/13"
    first_use_enrolment: bool = True
    relay_workers: Annotated[int, Meta(ge=0, le=64)] = 0
    limits: Limits = Limits()

    @property
    def listeners(self) -> tuple[tuple[str, int], ...]:
        """``listen`` as hosts and ports."""
        return tuple(parse_listener(text) for text in self.listen)


def load(path: Path) -> Config:
    """Read the file; raises InputError that lists every mistake."""
    try:
        text = path.read_text(encoding="utf-8")
        data = tomllib.loads(text)
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InputError(f"{path} is no TOML: {error}") from None
    try:
        return parse(data)
    except InputError as error:
        raise InputError(f"{path}: {error}") from None


def parse(data: Mapping[str, Any]) -> Config:
    """Return the settings in ``data``; raises InputError that lists every mistake with its key path."""
    schema = data.get("schema")
    if schema != SCHEMA:
        raise InputError(
            f"schema: expected {SCHEMA}, got {schema!r}: the file is of another version of the GateManager"
        )
    config, mistakes = convert(data, Config)
    mistakes += _check(config)
    if mistakes:
        raise InputError("; ".join(mistakes))
    return config


def parse_listener(text: str) -> tuple[str, int]:
    """Return host and port of ``0.0.0.0:443`` or ``[::]:443``; raises InputError."""
    host, colon, port = text.rpartition(":")
    bare = host.removeprefix("[").removesuffix("]")
    try:
        address = ipaddress.ip_address(bare)
    except ValueError:
        raise InputError(f"expected an IP address and port like 0.0.0.0:443 or [::]:443, got {text[:60]!r}") from None
    if (
        not colon
        or not port.isascii()
        or not port.isdigit()
        or len(port) > 5
        or int(port) > 65535
        or (address.version == 6) != (host != bare)
    ):
        raise InputError(f"expected an IP address and port like 0.0.0.0:443 or [::]:443, got {text[:60]!r}")
    return bare, int(port)


def _check(config: Config) -> list[str]:
    mistakes: list[str] = []

    def attempt(path: str, check: Any, *arguments: Any) -> None:
        try:
            check(*arguments)
        except InputError as error:
            mistakes.append(f"{path}: {error}")

    attempt("name", check_text, config.name, "the name", 64)
    for position, address in enumerate(config.addresses):
        attempt(f"addresses[{position}]", check_address, address)
    for position, listener in enumerate(config.listen):
        attempt(f"listen[{position}]", parse_listener, listener)
    attempt("tunnel_network", check_tunnel_network, config.tunnel_network)
    attempt("virtual_network", check_virtual_network, config.virtual_network)
    attempt("virtual_network", _check_apart, config.virtual_network, config.tunnel_network)
    return mistakes


def check_tunnel_network(text: str) -> ipaddress.IPv4Network:
    """Return the network whose /30s the sessions use; raises InputError."""
    try:
        network = ipaddress.IPv4Network(text)
    except ValueError as error:
        raise InputError(f"expected an IPv4 network like 198.18.0.0/15, got {text[:60]!r} ({error})") from None
    if not 8 <= network.prefixlen <= 28:
        raise InputError(f"expected a network between /8 and /28, got /{network.prefixlen}")
    return network


def check_virtual_network(text: str) -> ipaddress.IPv4Network:
    """Return the network in which each device has an address for ever; raises InputError."""
    try:
        network = ipaddress.IPv4Network(text)
    except ValueError as error:
        raise InputError(f"expected an IPv4 network like 100.96.0.0/13, got {text[:60]!r} ({error})") from None
    if not 8 <= network.prefixlen <= 24:
        raise InputError(f"expected a network between /8 and /24, got /{network.prefixlen}")
    return network


def _check_apart(virtual: str, tunnel: str) -> None:
    try:
        networks = ipaddress.IPv4Network(virtual), ipaddress.IPv4Network(tunnel)
    except ValueError:
        return  # is said already
    if networks[0].overlaps(networks[1]):
        raise InputError(f"{virtual} overlaps tunnel_network {tunnel}")


def render(config: Config) -> str:
    """Return the commented file that ``load`` reads back as ``config``."""

    def quoted(text: str) -> str:
        return msgspec.json.encode(text).decode()

    def listed(texts: tuple[str, ...]) -> str:
        return "[\n" + "".join(f"    {quoted(text)},\n" for text in texts) + "]"

    limits = config.limits
    return f"""\
# Settings of the GateManager. `gm serve` reads them at its start.
schema = {config.schema}

# What people see, and what stands in the certificates.
name = {quoted(config.name)}

# Host names or IP addresses under which SiteManagers and LinkManagers reach this GateManager, best first.
addresses = {listed(config.addresses)}

# Where to listen; the same service on each. [::] is IPv6 alone.
listen = {listed(config.listen)}

# Seconds between signs of life on an idle connection. More saves paid cellular data, less notices a dead line sooner.
keepalive_s = {config.keepalive_s}

# Addresses inside the tunnels; each session takes a /30. It must not be in use at any site or office.
tunnel_network = {quoted(config.tunnel_network)}

# Addresses that devices have for PCs on which a site's own are taken: each device keeps its one for ever. It must not
# be in use at any site or office; with another network every device has another virtual address.
virtual_network = {quoted(config.virtual_network)}

# Whether a SiteManager without a claim may wait in the list until somebody adopts it (`gm appliances adopt`).
first_use_enrolment = {str(config.first_use_enrolment).lower()}

# Processes that carry the sessions' bytes; 0 is one for each processor.
relay_workers = {config.relay_workers}

# What strangers can use up at most.
[limits]
# Connections that have not logged in yet: in all, and from one address (an IPv6 /64 counts as one).
pending_connections = {limits.pending_connections}
pending_per_address = {limits.pending_per_address}
# TLS handshakes at the same time; the others wait for their turn.
handshakes = {limits.handshakes}
# Browsers' connections.
web_connections = {limits.web_connections}
web_per_address = {limits.web_per_address}
# Enrolments at the same time.
enrolments = {limits.enrolments}
# SiteManagers in the waiting list.
waiting_appliances = {limits.waiting_appliances}
# Sessions of one user at the same time.
sessions_per_user = {limits.sessions_per_user}
# Requests a second that a program may make with one API token; ten seconds' worth at once.
api_requests_per_s = {limits.api_requests_per_s}
"""

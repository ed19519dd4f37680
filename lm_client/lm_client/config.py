"""The settings file ``config.toml``: typed, unknown keys refused, every mistake reported at once with its key path.

``lm_client/config.example.toml`` is the same as the defaults; a test says so.
"""

from __future__ import annotations

import ipaddress
import re
import sys
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Final

import msgspec
from msgspec import Meta

from gatelink.exceptions import InputError
from gatelink.settings import convert

from .home import Home

SCHEMA: Final = 1
_SHARED: Final = ("link", "session", "service")
DEFAULT_SOCKET: Final = "/run/gatelink-lm/service.sock" if sys.platform != "win32" else r"\\.\pipe\gatelink-lm"

Port = Annotated[int, Meta(ge=1, le=65535)]
Seconds = Annotated[float, Meta(ge=0.01, le=86400)]
SerialForm = Annotated[str, Meta(pattern=r"\A[5-8][NEO]\Z")]
Host = Annotated[str, Meta(min_length=1, max_length=253)]


class ProxySettings(msgspec.Struct, frozen=True, kw_only=True):
    """An HTTP proxy that understands CONNECT; tried when there is no direct way."""

    host: Host
    port: Port
    username: Annotated[str, Meta(max_length=256)] = ""
    password: Annotated[str, Meta(max_length=256)] = ""

    def __repr__(self) -> str:
        """Never shows the password."""
        return f"ProxySettings({self.host}:{self.port})"


class LinkSettings(msgspec.Struct, frozen=True, kw_only=True):
    """How the connection to the GateManager is kept."""

    ports: Annotated[tuple[Port, ...], Meta(min_length=1, max_length=8)] = (443,)
    proxies: Annotated[tuple[ProxySettings, ...], Meta(max_length=8)] = ()
    stagger_s: Seconds = 2.0
    probe_s: Seconds = 600.0
    backoff_first_s: Seconds = 1.0
    backoff_longest_s: Seconds = 60.0


class SessionSettings(msgspec.Struct, frozen=True, kw_only=True):
    """How a session that broke is resumed."""

    give_up_s: Seconds = 600.0
    backoff_first_s: Seconds = 0.5
    backoff_longest_s: Seconds = 15.0
    keepalive_s: Seconds = 25.0


class ServiceSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Where the service with rights listens."""

    socket: Annotated[str, Meta(min_length=1, max_length=100)] = DEFAULT_SOCKET


_SERVER: Final = re.compile(
    r"(\[[0-9A-Fa-f:.]+\]|[^\s:\[\]]+):(6553[0-5]|655[0-2]\d|65[0-4]\d\d|6[0-4]\d{3}|[1-5]\d{4}|[1-9]\d{0,3})"
)
Source = ipaddress.IPv4Network | ipaddress.IPv6Network


class NamedRelay(msgspec.Struct, frozen=True, kw_only=True):
    """What this host says of one permanent relay."""

    listen: Annotated[str, Meta(max_length=45)] = ""
    """Pull: at which of this host's addresses; empty: as for all."""
    sources: Annotated[tuple[str, ...], Meta(max_length=64)] = ()
    """Pull: who may connect; empty: as for all."""
    server: Annotated[str, Meta(max_length=260)] = ""
    """Push: ``host:port`` to which it is delivered. Nobody else can say so."""


class RelaySettings(msgspec.Struct, frozen=True, kw_only=True):
    """Permanent relays, carried by this agent while it is logged in."""

    enabled: bool = False
    listen: Annotated[str, Meta(min_length=1, max_length=45)] = "127.0.0.1"
    sources: Annotated[tuple[str, ...], Meta(min_length=1, max_length=64)] = ("127.0.0.0/8", "::1/128")
    max_connections: Annotated[int, Meta(ge=1, le=1024)] = 32
    """Of each relay, at a time."""
    named: dict[Annotated[str, Meta(max_length=63)], NamedRelay] = {}

    def of(self, name: str) -> NamedRelay:
        """Return what is said of a relay."""
        return self.named.get(name, NamedRelay())

    @staticmethod
    def networks(sources: tuple[str, ...]) -> tuple[Source, ...]:
        """Return who may connect."""
        return tuple(ipaddress.ip_network(source) for source in sources)


class Config(msgspec.Struct, frozen=True, kw_only=True):
    """All settings with their defaults."""

    schema: int = SCHEMA
    link: LinkSettings = LinkSettings()
    session: SessionSettings = SessionSettings()
    service: ServiceSettings = ServiceSettings()
    relays: RelaySettings = RelaySettings()
    serial: dict[Annotated[str, Meta(max_length=253)], SerialForm] = {}
    """Bits and parity of serial ports, by the name under which they appear."""
    com_pairs: dict[
        Annotated[str, Meta(max_length=253)], Annotated[str, Meta(pattern=r"\A[A-Za-z0-9_#-]{1,32}\Z")]
    ] = {}
    """Windows: the LinkManager's end of a com0com pair (as CNCB0) for a serial port, by the same name."""


def load(home: Home) -> Config:
    """Read a home's file; the defaults if there is none. Raises InputError that lists every mistake.

    How this PC is connected (``link``, ``session``, ``service``) needs to be said once: a profile has it from the usual
    home's file, key by key, where its own says nothing.
    """
    data = _read(home.config_path)
    config = _parse_file(data, home.config_path)
    if home.usual.path == home.path:
        return config
    usual = _read(home.usual.config_path)
    _parse_file(usual, home.usual.config_path)
    shared: dict[str, Any] = {name: {**usual[name], **data.get(name, {})} for name in _SHARED if name in usual}
    return parse({**data, **shared})


def _read(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InputError(f"{path} is no TOML: {error}") from None


def _parse_file(data: Mapping[str, Any], path: Path) -> Config:
    try:
        return parse(data)
    except InputError as error:
        raise InputError(f"{path}: {error}") from None


def parse(data: Mapping[str, Any]) -> Config:
    """Return the settings in ``data``; raises InputError that lists every mistake with its key path."""
    if (found := data.get("schema", SCHEMA)) != SCHEMA:
        raise InputError(f"schema: expected {SCHEMA}, got {found!r}: the file is of another version of the LinkManager")
    config, mistakes = convert(data, Config)
    mistakes += _relay_mistakes(config.relays, "relays")
    for name, named in config.relays.named.items():
        mistakes += _relay_mistakes(named, f"relays.named.{name}")
    if mistakes:
        raise InputError("; ".join(mistakes))
    return config


def _relay_mistakes(relay: RelaySettings | NamedRelay, path: str) -> Iterator[str]:
    if relay.listen and not _is_one_address(relay.listen):
        yield f"{path}.listen: expected one address of this host, like 192.0.2.20, got {relay.listen!r}"
    for source in relay.sources:
        try:
            ipaddress.ip_network(source)
        except ValueError:
            yield f"{path}.sources: expected addresses and networks, like 192.0.2.0/24, got {source!r}"
    if isinstance(relay, NamedRelay) and relay.server and not _SERVER.fullmatch(relay.server):
        yield f"{path}.server: expected host:port, like 127.0.0.1:1883, got {relay.server!r}"


def _is_one_address(text: str) -> bool:
    """Neither a name nor 'every address': what is meant is to be said."""
    try:
        return not ipaddress.ip_address(text).is_unspecified
    except ValueError:
        return False

"""Ports as people write them, and the library of well-known services and families of devices (``presets.toml``)."""

from __future__ import annotations

import tomllib
from collections.abc import Sequence
from difflib import get_close_matches
from functools import cache
from importlib.resources import files
from typing import Literal

import msgspec

from gatelink.exceptions import InputError
from gatelink.messages import Service
from gm_server.exceptions import NotFound


class Preset(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A family of devices, and what one of them usually needs."""

    title: str
    vendor: str
    services: tuple[str, ...]
    """Names of services of the library."""
    serial: bool = False
    """For a serial port of the SiteManager, not for an address."""
    note: str = ""


class _Source(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    ports: tuple[str, ...]
    source: str


class _Library(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    services: dict[str, _Source]
    presets: dict[str, Preset]


@cache
def _read() -> _Library:
    data = tomllib.loads(files("gm_server.appliances").joinpath("presets.toml").read_text(encoding="utf-8"))
    return msgspec.convert(data, _Library)


@cache
def presets() -> dict[str, tuple[Service, ...]]:
    """Return the services of every preset: each service of the library is one, and each family of devices."""
    known = {name: tuple(_parse(name, text) for text in one.ports) for name, one in _read().services.items()}
    families = {
        name: tuple(ports for service in one.services for ports in known[service])
        for name, one in _read().presets.items()
    }
    return known | families


def library() -> dict[str, Preset]:
    """Return the families of devices, by their names."""
    return _read().presets


def source_of(service: str) -> str:
    """Return where the ports of a service of the library come from."""
    return _read().services[service].source


def preset(name: str) -> tuple[Service, ...]:
    """Return the services of one preset; raises NotFound that lists all."""
    if name not in presets():
        near = get_close_matches(name, presets(), n=3)
        meant = f" (did you mean {' or '.join(near)}?)" if near else ""
        text = f"there is no preset {name[:60]}{meant}; `gm services presets` lists them; or say --tcp, --udp or --icmp"
        raise NotFound(text)
    return presets()[name]


def services(name: str, tcp: Sequence[str], udp: Sequence[str], *, icmp: bool) -> tuple[Service, ...]:
    """Return a service of these ports, or the preset of its name if there are none; raises InputError."""
    found = [parse_ports(name, "tcp", text) for text in tcp] + [parse_ports(name, "udp", text) for text in udp]
    if icmp:
        found.append(Service(name, "icmp"))
    return tuple(found) or preset(name)


def parse_ports(name: str, protocol: Literal["tcp", "udp"], text: str) -> Service:
    """Return the service of ``502`` or ``1000-1010``; raises InputError."""
    first, dash, last = text.partition("-")
    numbers = [first, last if dash else first]
    if not all(_is_port(number) for number in numbers):
        raise InputError(f"expected a port from 1 to 65535, or a range like 1000-1010, got {text[:40]!r}")
    if int(numbers[0]) > int(numbers[1]):
        raise InputError(f"the range {text} ends before it begins")
    return Service(name, protocol, int(numbers[0]), int(numbers[1]))


def _parse(name: str, text: str) -> Service:
    protocol, _, ports = text.partition("/")
    if protocol == "icmp":
        return Service(name, "icmp")
    if protocol == "ethernet":
        return Service(name, "ethernet", int(ports, 16), int(ports, 16))
    return parse_ports(name, "udp" if protocol == "udp" else "tcp", ports)


def _is_port(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= 5 and 1 <= int(text) <= 65535

"""Ports as people write them, and the services that have a well-known name (``presets.toml``)."""

from __future__ import annotations

import tomllib
from collections.abc import Sequence
from functools import cache
from importlib.resources import files
from typing import Literal

from gatelink.exceptions import InputError
from gatelink.messages import Service
from gm_server.exceptions import NotFound


@cache
def presets() -> dict[str, tuple[Service, ...]]:
    """Return the services of every preset."""
    data = tomllib.loads(files("gm_server.appliances").joinpath("presets.toml").read_text(encoding="utf-8"))
    return {name: tuple(_parse(name, text) for text in texts) for name, texts in data.items()}


def preset(name: str) -> tuple[Service, ...]:
    """Return the services of one preset; raises NotFound that lists all."""
    if name not in presets():
        raise NotFound(f"there is no preset {name}; known are {', '.join(presets())}; or say --tcp, --udp or --icmp")
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
    return parse_ports(name, "udp" if protocol == "udp" else "tcp", ports)


def _is_port(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= 5 and 1 <= int(text) <= 65535

"""What a DHCP server told, as udhcpc's script hands it on. Parses what strangers send: bounded, nothing on trust.

One line for each event, its fields with tabs between:
``gatelink-lease  bound  10.20.1.77  24  10.20.1.1  10.20.1.1 10.20.1.2  3600``
"""

from __future__ import annotations

import ipaddress
from typing import Final, Literal, get_args

import msgspec

from .uplink_settings import MOST_NAME_SERVERS
from .uplinks import Given

MOST_LINE_BYTES: Final = 1024
WORD: Final = "gatelink-lease"
EventKind = Literal["deconfig", "bound", "renew", "leasefail", "nak"]


class LeaseEvent(msgspec.Struct, frozen=True):
    """``given`` is there with ``bound`` and ``renew``, unless what was told makes no sense."""

    kind: EventKind
    given: Given | None = None


def parse_event(line: bytes) -> LeaseEvent | None:
    """Return the event in a line; None if there is none in it."""
    try:
        fields = line[:MOST_LINE_BYTES].decode("ascii").rstrip("\n").split("\t")
    except UnicodeDecodeError:
        return None
    if len(fields) != 7 or fields[0] != WORD or fields[1] not in get_args(EventKind):
        return None
    kind: EventKind = fields[1]  # type: ignore[assignment]
    given = _given(fields[2], fields[3], fields[4], fields[5]) if kind in ("bound", "renew") else None
    return LeaseEvent(kind, given)


def _given(address: str, prefix: str, routers: str, servers: str) -> Given | None:
    hosts = hosts_in(address)
    length = int(prefix) if prefix.isdecimal() and len(prefix) < 3 else 0
    if len(hosts) != 1 or not 1 <= length <= 32:
        return None
    return Given(f"{hosts[0]}/{length}", next(iter(hosts_in(routers)), ""), hosts_in(servers)[:MOST_NAME_SERVERS])


def hosts_in(text: str) -> tuple[str, ...]:
    """Return the words that are addresses of hosts."""
    found = []
    for word in text.split():
        try:
            address = ipaddress.IPv4Address(word)
        except ValueError:
            continue
        if not (address.is_multicast or address.is_loopback or address.is_unspecified or address.is_reserved):
            found.append(str(address))
    return tuple(found)

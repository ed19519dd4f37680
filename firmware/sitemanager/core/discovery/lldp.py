"""LLDP (IEEE 802.1AB): what switches and controllers say of themselves every half minute; only listened to."""

from __future__ import annotations

import ipaddress
from typing import Final

from .identity import Identity, printable_text

ETHERTYPE: Final = 0x88CC
_PORT, _NAME, _DESCRIPTION, _MANAGEMENT = 2, 5, 6, 8


def parse(frame: bytes) -> Identity | None:
    """Return who says it; None for anything else."""
    if len(frame) < 16 or frame[12:14] != b"\x88\xcc":
        return None
    rest = frame[14:]
    found: dict[int, bytes] = {}
    while len(rest) >= 2:
        kind, length = rest[0] >> 1, (rest[0] & 1) << 8 | rest[1]
        if kind == 0 or len(rest) < 2 + length:
            break
        found.setdefault(kind, rest[2 : 2 + length])
        rest = rest[2 + length :]
    if 1 not in found:
        return None
    place = found.get(_MANAGEMENT, b"")
    is_ipv4 = len(place) >= 6 and place[0] == 5 and place[1] == 1
    return Identity(
        protocol="lldp",
        mac=frame[6:12].hex(":"),
        address=str(ipaddress.IPv4Address(place[2:6])) if is_ipv4 else "",
        name=printable_text(found.get(_NAME, b"")),
        model=printable_text(found.get(_DESCRIPTION, b"")),
    )

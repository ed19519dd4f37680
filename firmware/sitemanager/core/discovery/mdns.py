"""Multicast DNS (RFC 6762): one question for services, and whoever answers names itself."""

from __future__ import annotations

import ipaddress
import struct
from typing import Final

from .identity import Identity, printable_text

GROUP: Final = "224.0.0.251"
PORT: Final = 5353
_HEADER: Final = struct.Struct("!HHHHHH")
_RECORD: Final = struct.Struct("!HHIH")
_A: Final = 1
_MOST_RECORDS: Final = 64
_MOST_LABELS: Final = 32


def request() -> bytes:
    """Return the datagram: 'which services are there', answered to the port that asks (RFC 6762, 5.4)."""
    name = b"".join(bytes((len(label),)) + label for label in (b"_services", b"_dns-sd", b"_udp", b"local")) + b"\0"
    return _HEADER.pack(0x676C, 0, 1, 0, 0, 0) + name + struct.pack("!HH", 12, 0x8001)


def parse(datagram: bytes, address: str) -> Identity | None:
    """Return who answered from ``address``, with the name of its own A record if it sent one."""
    if len(datagram) < _HEADER.size:
        return None
    _, flags, questions, *counts = _HEADER.unpack_from(datagram)
    if not flags & 0x8000:
        return None
    name = ""
    try:
        at = _HEADER.size
        for _ in range(min(questions, _MOST_RECORDS)):
            at = _name(datagram, at)[1] + 4
        for _ in range(min(sum(counts), _MOST_RECORDS)):
            owner, at = _name(datagram, at)
            kind, _, _, length = _RECORD.unpack_from(datagram, at)
            at += _RECORD.size
            if kind == _A and length == 4 and str(ipaddress.IPv4Address(datagram[at : at + 4])) == address:
                name = owner.removesuffix(".local")
            at += length
    except (struct.error, IndexError, ValueError):
        pass
    return Identity(protocol="mdns", address=address, name=name)


def _name(data: bytes, at: int) -> tuple[str, int]:
    """A name and where it ends. Raises IndexError, ValueError."""
    labels: list[str] = []
    end = None
    for _ in range(_MOST_LABELS):
        length = data[at]
        if length & 0xC0 == 0xC0:
            end = at + 2 if end is None else end
            at = (length & 0x3F) << 8 | data[at + 1]
        elif length == 0:
            return ".".join(labels), at + 1 if end is None else end
        else:
            labels.append(printable_text(data[at + 1 : at + 1 + length], 63))
            at += 1 + length
    raise ValueError("a name without end")

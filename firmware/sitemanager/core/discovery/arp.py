"""ARP (RFC 826): who has this address? Asked as a probe (RFC 5227), with no sender address: nobody's table changes."""

from __future__ import annotations

import ipaddress
import struct
from typing import Final

from .identity import Identity

ETHERTYPE: Final = 0x0806
_BODY: Final = struct.Struct("!HHBBH6s4s6s4s")
_BROADCAST: Final = b"\xff" * 6


def request(source_mac: bytes, target: str, source: str = "0.0.0.0") -> bytes:
    """Return the frame that asks for ``target``."""
    addresses = [ipaddress.IPv4Address(text).packed for text in (source, target)]
    body = _BODY.pack(1, 0x0800, 6, 4, 1, source_mac, addresses[0], bytes(6), addresses[1])
    return (_BROADCAST + source_mac + ETHERTYPE.to_bytes(2, "big") + body).ljust(60, b"\0")


def parse(frame: bytes) -> Identity | None:
    """Return who answered; None for anything but an answer."""
    if len(frame) < 14 + _BODY.size or frame[12:14] != b"\x08\x06":
        return None
    kind, protocol, mac_bytes, ip_bytes, operation, mac, address, _, _ = _BODY.unpack_from(frame, 14)
    if (kind, protocol, mac_bytes, ip_bytes, operation) != (1, 0x0800, 6, 4, 2) or not any(address):
        return None
    return Identity(protocol="arp", address=str(ipaddress.IPv4Address(address)), mac=mac.hex(":"))

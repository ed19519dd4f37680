"""EtherNet/IP: ListIdentity by UDP broadcast to port 44818 (ODVA, CIP Networks Library vol. 2, 2-4.2)."""

from __future__ import annotations

import struct
from typing import Final

from .identity import Identity, printable_text
from .vendors import vendor_of_ethernet_ip

PORT: Final = 44818
_HEADER: Final = struct.Struct("<HHII8sI")
_ITEM: Final = struct.Struct("<HH")
_IDENTITY: Final = struct.Struct("<H16sHHHBBHI")
_LIST_IDENTITY, _CIP_IDENTITY = 0x63, 0x0C


def request() -> bytes:
    """Return the datagram."""
    return _HEADER.pack(_LIST_IDENTITY, 0, 0, 0, b"gatelink", 0)


def parse(datagram: bytes, address: str) -> Identity | None:
    """Return who answered from ``address``; None for anything but an answer."""
    if len(datagram) < _HEADER.size + 2 + _ITEM.size + _IDENTITY.size + 1:
        return None
    command, _, _, status, _, _ = _HEADER.unpack_from(datagram)
    kind, length = _ITEM.unpack_from(datagram, _HEADER.size + 2)
    if command != _LIST_IDENTITY or status or kind != _CIP_IDENTITY:
        return None
    begin = _HEADER.size + 2 + _ITEM.size
    _, _, vendor, _, _, major, minor, _, serial = _IDENTITY.unpack_from(datagram, begin)
    rest = datagram[begin + _IDENTITY.size : begin + length]
    name = rest[1 : 1 + rest[0]] if rest else b""
    return Identity(
        protocol="ethernet-ip",
        address=address,
        vendor=vendor_of_ethernet_ip(vendor),
        model=printable_text(name),
        serial=f"{serial:08x}",
        version=f"{major}.{minor}",
    )

"""PROFINET DCP: 'identify, everybody'. Answers say name, type, maker and address (IEC 61158-6-10, 4.3)."""

from __future__ import annotations

import ipaddress
import struct
from collections.abc import Iterator
from typing import Final

from .identity import Identity, printable_text
from .vendors import vendor_of_profinet

ETHERTYPE: Final = 0x8892
_MULTICAST: Final = bytes.fromhex("010ecf000000")
_HEADER: Final = struct.Struct("!HBBIHH")
_IDENTIFY_REQUEST, _IDENTIFY_RESPONSE = 0xFEFE, 0xFEFF
_IDENTIFY, _REQUEST, _RESPONSE = 5, 0, 1
_DELAY_FACTOR: Final = 0x40
"""Stations spread their answers over 64 x 10 ms: a hundred of them do not answer at once."""


def request(source_mac: bytes, transaction: int) -> bytes:
    """Return the frame."""
    everybody = bytes.fromhex("ffff0000")
    head = _HEADER.pack(_IDENTIFY_REQUEST, _IDENTIFY, _REQUEST, transaction, _DELAY_FACTOR, len(everybody))
    return (_MULTICAST + source_mac + ETHERTYPE.to_bytes(2, "big") + head + everybody).ljust(60, b"\0")


def parse(frame: bytes) -> Identity | None:
    """Return who answered; None for anything but an answer."""
    if len(frame) < 14 + _HEADER.size or frame[12:14] != b"\x88\x92":
        return None
    frame_id, service, kind, _, _, length = _HEADER.unpack_from(frame, 14)
    if (frame_id, service, kind) != (_IDENTIFY_RESPONSE, _IDENTIFY, _RESPONSE):
        return None
    begin = 14 + _HEADER.size
    found = dict(_blocks(frame[begin : begin + length]))
    device, address = found.get((2, 3), b""), found.get((1, 2), b"")
    return Identity(
        protocol="profinet-dcp",
        mac=frame[6:12].hex(":"),
        address=str(ipaddress.IPv4Address(address[:4])) if len(address) >= 4 and any(address[:4]) else "",
        vendor=vendor_of_profinet(int.from_bytes(device[:2], "big")) if len(device) >= 4 else "",
        model=printable_text(found.get((2, 1), b"")),
        name=printable_text(found.get((2, 2), b"")),
    )


def _blocks(data: bytes) -> Iterator[tuple[tuple[int, int], bytes]]:
    """Option, suboption and value; each value has two bytes of block info before it, and even length."""
    while len(data) >= 6:
        length = int.from_bytes(data[2:4], "big")
        yield (data[0], data[1]), data[6 : 4 + length]
        data = data[4 + length + length % 2 :]

"""Modbus TCP: 'read device identification' (function 43/14), the basic objects."""

from __future__ import annotations

from typing import Final

from .identity import Identity, printable_text

PORT: Final = 502
_REQUEST: Final = bytes.fromhex("676c 0000 0005 01 2b 0e 01 00")
"""Unit 1; many devices answer for any."""


def request() -> bytes:
    """Return what is to be sent on a connection."""
    return _REQUEST


def parse(answer: bytes, address: str) -> Identity | None:
    """Return who answered. One that refuses the question speaks Modbus as well: it is known by that alone."""
    if len(answer) < 9 or answer[:4] != _REQUEST[:4] or answer[7] not in (0x2B, 0xAB):
        return None
    objects: dict[int, bytes] = {}
    if answer[7] == 0x2B and len(answer) >= 14 and answer[8] == 0x0E:
        rest = answer[14:]
        for _ in range(answer[13]):
            if len(rest) < 2:
                break
            objects[rest[0]] = rest[2 : 2 + rest[1]]
            rest = rest[2 + rest[1] :]
    return Identity(
        protocol="modbus",
        address=address,
        vendor=printable_text(objects.get(0, b"")),
        model=printable_text(objects.get(1, b"")),
        version=printable_text(objects.get(2, b""), 64),
    )

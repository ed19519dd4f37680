"""BACnet/IP: Who-Is by broadcast to port 47808; I-Am says instance and maker (ASHRAE 135, 16.10)."""

from __future__ import annotations

from typing import Final

from .identity import Identity

PORT: Final = 47808
_WHO_IS: Final = bytes.fromhex("810b000c 0120ffff00ff 1008")
_DEVICE_OBJECT: Final = 8


def request() -> bytes:
    """Return the datagram."""
    return _WHO_IS


def parse(datagram: bytes, address: str) -> Identity | None:
    """Return who answered from ``address``; None for anything but I-Am. One behind a router is told as such."""
    if len(datagram) < 6 or datagram[0] != 0x81 or datagram[1] not in (0x0A, 0x0B):
        return None
    apdu = _apdu(datagram[4:])
    if apdu is None or len(apdu) < 7 or apdu[:2] != b"\x10\x00" or apdu[2] != 0xC4:
        return None
    number = int.from_bytes(apdu[3:7], "big")
    if number >> 22 != _DEVICE_OBJECT:
        return None
    values = _unsigned(apdu[7:])
    vendor = f"BACnet vendor {values[2]}" if len(values) >= 3 else ""
    return Identity(protocol="bacnet", address=address, name=f"BACnet device {number & 0x3FFFFF}", vendor=vendor)


def _apdu(npdu: bytes) -> bytes | None:
    if len(npdu) < 2 or npdu[0] != 1 or npdu[1] & 0x80:
        return None
    control, rest = npdu[1], npdu[2:]
    for present in (control & 0x20, control & 0x08):
        if present:
            if len(rest) < 3:
                return None
            rest = rest[3 + rest[2] :]
    return rest[1:] if control & 0x20 else rest


def _unsigned(data: bytes) -> list[int]:
    """The application-tagged numbers that follow each other."""
    values = []
    while data:
        length = data[0] & 7
        values.append(int.from_bytes(data[1 : 1 + length], "big"))
        data = data[1 + length :]
    return values

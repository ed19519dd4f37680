"""SMS-SUBMIT as a modem takes it in PDU mode (3GPP TS 23.040 section 9.2.2.2). No I/O.

A text of the GSM alphabet is sent in septets, 160 to a message, any other in UCS-2, 70 to a message; longer ones in
parts of 153 or 67 with a concatenation header (section 9.2.3.24.1), which the phone joins again.
"""

from __future__ import annotations

from typing import Final

import msgspec

from gatelink.exceptions import InputError

from .gsm7 import pack, septets

_SEPTETS, _SEPTETS_OF_PART = 160, 153
_UNITS, _UNITS_OF_PART = 70, 67
MAX_PARTS: Final = 8
_SUBMIT: Final = 0x01
_WITH_VALIDITY: Final = 0x10
_WITH_HEADER: Final = 0x40
_INTERNATIONAL: Final = 0x91
_GSM7, _UCS2 = 0x00, 0x08
_HEADER_SEPTETS: Final = 7


class Pdu(msgspec.Struct, frozen=True):
    """One message for ``AT+CMGS``."""

    octets: bytes
    """Behind the empty address of the message centre, which stands in front of them on the line."""

    @property
    def line(self) -> str:
        """The hexadecimal text that follows the modem's prompt."""
        return "00" + self.octets.hex().upper()


def submit(recipient: str, text: str, valid_s: float, reference: int) -> tuple[Pdu, ...]:
    """Return the messages of a text; ``reference`` (0-255) ties the parts of one together. Raises InputError."""
    parts = _parts(text)
    if len(parts) > MAX_PARTS:
        raise InputError(f"a text message can have {MAX_PARTS} parts, this text needs {len(parts)}")
    first = _SUBMIT | _WITH_VALIDITY | (_WITH_HEADER if len(parts) > 1 else 0)
    head = _address(recipient)
    pdus: list[Pdu] = []
    for number, (coding, units) in enumerate(parts, 1):
        header = bytes((5, 0, 3, reference & 0xFF, len(parts), number)) if len(parts) > 1 else b""
        if coding == _GSM7:
            length = len(units) + (_HEADER_SEPTETS if header else 0)
            # The septets begin at a septet's border behind the header.
            data = header + pack(units, 1) if header else pack(units)
        else:
            data = header + b"".join(unit.to_bytes(2, "big") for unit in units)
            length = len(data)
        octets = bytes((first, 0)) + head + bytes((0, coding, _validity(valid_s), length)) + data
        pdus.append(Pdu(octets))
    return tuple(pdus)


def _parts(text: str) -> list[tuple[int, list[int]]]:
    characters = septets(text)
    if characters is not None:
        return [(_GSM7, part) for part in _split(characters, _SEPTETS, _SEPTETS_OF_PART)]
    encoded = tuple(_utf16(character) for character in text)
    return [(_UCS2, part) for part in _split(encoded, _UNITS, _UNITS_OF_PART)]


def _split(characters: tuple[tuple[int, ...], ...], whole: int, part: int) -> list[list[int]]:
    """Return the units of each message; no character is cut in two."""
    if sum(map(len, characters)) <= whole:
        return [[unit for character in characters for unit in character]]
    parts: list[list[int]] = [[]]
    for character in characters:
        if len(parts[-1]) + len(character) > part:
            parts.append([])
        parts[-1].extend(character)
    return parts


def _utf16(character: str) -> tuple[int, ...]:
    data = character.encode("utf-16-be")
    return tuple(int.from_bytes(data[start : start + 2], "big") for start in range(0, len(data), 2))


def _address(number: str) -> bytes:
    digits = number.removeprefix("+")
    padded = digits + "F" * (len(digits) % 2)
    swapped = "".join(padded[at + 1] + padded[at] for at in range(0, len(padded), 2))
    return bytes((len(digits), _INTERNATIONAL)) + bytes.fromhex(swapped)


def _validity(valid_s: float) -> int:
    """Return the relative validity period (section 9.2.3.12.1): steps of five minutes, up to twelve hours."""
    return max(0, min(143, int(valid_s // 300) - 1))

"""Questions to name servers and their answers (RFC 1035), IPv4 alone. Parses what strangers send: bounded."""

from __future__ import annotations

import ipaddress
import struct
from typing import Final

MOST_ANSWER_BYTES: Final = 1232
"""What comes in one datagram without fragments (DNS flag day 2020)."""
_MOST_RECORDS: Final = 32
_HEADER: Final = struct.Struct("!HHHHHH")
_A_IN: Final = b"\0\1\0\1"
_RECURSION_DESIRED, _IS_ANSWER, _REASON = 0x0100, 0x8000, 0x000F


def question(name: str, number: int) -> bytes:
    """Return a query for the addresses of a host name, with this id. Raises ValueError for what is no name."""
    labels = name.rstrip(".").encode("ascii").split(b".")
    if not all(0 < len(label) < 64 for label in labels) or len(name) > 253:
        raise ValueError(f"{name[:60]!r} is no host name")
    encoded = b"".join(bytes([len(label)]) + label for label in labels)
    return _HEADER.pack(number, _RECURSION_DESIRED, 1, 0, 0, 0) + encoded + b"\0" + _A_IN


def addresses_in(answer: bytes, asked: bytes) -> tuple[str, ...] | None:
    """Return the addresses in an answer, none if it says that there are none; None if it is no answer to ``asked``."""
    if not _HEADER.size <= len(answer) <= MOST_ANSWER_BYTES:
        return None
    number, flags, questions, records, _, _ = _HEADER.unpack_from(answer)
    position = len(asked)
    is_ours = number == _HEADER.unpack_from(asked)[0] and questions == 1 and flags & _IS_ANSWER
    if not is_ours or answer[_HEADER.size : position].lower() != asked[_HEADER.size :].lower():
        return None
    found: list[str] = []
    if flags & _REASON:
        return ()
    for _ in range(min(records, _MOST_RECORDS)):
        start = _after_name(answer, position)
        if start + 10 > len(answer):
            break
        size = int.from_bytes(answer[start + 8 : start + 10])
        data = answer[start + 10 : start + 10 + size]
        if answer[start : start + 4] == _A_IN and len(data) == 4:
            found.append(str(ipaddress.IPv4Address(data)))
        position = start + 10 + size
    return tuple(found)


def _after_name(answer: bytes, position: int) -> int:
    """Where a record's name ends: at its zero, or after the two bytes that refer to another place."""
    while position < len(answer):
        length = answer[position]
        if length & 0xC0:
            return position + 2
        position += 1 + length
        if not length:
            return position
    return len(answer)

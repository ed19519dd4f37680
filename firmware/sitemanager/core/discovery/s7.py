"""Siemens S7: two system status lists, 'component identification' (0x1C) and 'module identification' (0x11).

A conversation of three questions: ISO transport connection, set-up, list. ``S7Conversation`` says what to send next.
"""

from __future__ import annotations

from typing import Final

from .identity import Identity, printable_text

PORT: Final = 102
SLOTS: Final = (2, 1, 0)
"""S7-300 have their CPU in slot 2, S7-1200 and S7-1500 in 1 or 0."""
_SETUP: Final = bytes.fromhex("0300001902f08032010000000000080000f0000001000101e0")
_COMPONENTS, _MODULES = 0x001C, 0x0011
_SERIAL_INDEX, _NAME_INDEX, _TYPE_INDEX = 5, 1, 7
_MAX_BYTES: Final = 8192


class S7Conversation:
    """Feed it what came; it returns what to send next, or None when it waits; ``is_over`` says that all was said."""

    def __init__(self, address: str, slot: int) -> None:
        self._address = address
        self._slot = slot
        self._data = b""
        self._step = 0
        self._texts: dict[int, str] = {}
        self._order = ""
        self._version = ""
        self.is_over = False

    def begin(self) -> bytes:
        """Return the first question."""
        return bytes.fromhex("0300001611e00000000100c1020100c20201") + bytes((self._slot,)) + bytes.fromhex("c0010a")

    def feed(self, data: bytes) -> bytes | None:
        """Take bytes; return the next question if an answer is complete."""
        self._data += data
        if len(self._data) < 4:
            return None
        length = int.from_bytes(self._data[2:4], "big")
        if self._data[0] != 3 or length < 7 or len(self._data) > _MAX_BYTES:
            self.is_over = True
            return None
        if len(self._data) < length:
            return None
        packet, self._data = self._data[:length], self._data[length:]
        return self._answered(packet)

    @property
    def identity(self) -> Identity | None:
        """Who it is; None before it accepted the set-up."""
        if self._step < 2:
            return None
        return Identity(
            protocol="s7",
            address=self._address,
            vendor="Siemens",
            model=" ".join(filter(None, (self._texts.get(_TYPE_INDEX, ""), self._order)))[:128],
            name=self._texts.get(_NAME_INDEX, ""),
            serial=self._texts.get(_SERIAL_INDEX, "")[:64],
            version=self._version,
        )

    def _answered(self, packet: bytes) -> bytes | None:
        self._step += 1
        if self._step == 1 and packet[5] == 0xD0:
            return _SETUP
        if self._step == 2 and packet[7:9] == b"\x32\x03":
            return _list_request(_COMPONENTS)
        if self._step == 3:
            for index, text in _records(packet, _COMPONENTS):
                self._texts.setdefault(index, printable_text(text[:32]))
            return _list_request(_MODULES)
        if self._step == 4:
            for index, record in _records(packet, _MODULES):
                if index == 1:
                    self._order = printable_text(record[:20])
                if index == 7 and len(record) >= 26:
                    self._version = ".".join(str(part) for part in record[23:26])
        if self._step < 3:
            self._step = 0
        self.is_over = True
        return None


def _list_request(number: int) -> bytes:
    head = bytes.fromhex("0300002102f08032070000000000080008000112041144 0100ff090004")
    return head + number.to_bytes(2, "big") + b"\0\0"


def _records(packet: bytes, number: int) -> list[tuple[int, bytes]]:
    """Index and content of each record of a list; none if the answer is another one, or an error."""
    if len(packet) < 17 or packet[7:9] != b"\x32\x07":
        return []
    data = packet[17 + int.from_bytes(packet[13:15], "big") :]
    if len(data) < 12 or data[0] != 0xFF or int.from_bytes(data[4:6], "big") != number:
        return []
    size, count = int.from_bytes(data[8:10], "big"), int.from_bytes(data[10:12], "big")
    if size < 3:
        return []
    pieces = [data[12 + size * place : 12 + size * (place + 1)] for place in range(min(count, 64))]
    return [(int.from_bytes(piece[:2], "big"), piece[2:]) for piece in pieces if len(piece) == size]

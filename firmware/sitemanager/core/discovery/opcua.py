"""OPC UA: FindServers, over a channel without security: what every server tells before a login (OPC 10000-4, 5.5.2)."""

from __future__ import annotations

import struct
from typing import Final

from .identity import Identity, printable_text

PORT: Final = 4840
_NULL: Final = b"\xff\xff\xff\xff"
_POLICY: Final = b"http://opcfoundation.org/UA/SecurityPolicy#None"
_MAX_BYTES: Final = 65536
_REQUEST_HEADER: Final = b"\0\0" + bytes(8) + struct.pack("<II", 1, 0) + _NULL + struct.pack("<I", 5000) + b"\0\0\0"
_OPEN, _OPENED, _FIND, _FOUND = 446, 449, 422, 425
"""Binary encoding ids (OPC 10000-6, NodeIds.csv)."""


class OpcUaConversation:
    """Feed it what came; it returns what to send next, or None when it waits; ``is_over`` says that all was said."""

    def __init__(self, address: str) -> None:
        self._address = address
        self._url = f"opc.tcp://{address}:{PORT}".encode()
        self._data = b""
        self.identity: Identity | None = None
        self.is_over = False

    def begin(self) -> bytes:
        """Return the first question."""
        return _message(b"HEL", struct.pack("<IIIII", 0, _MAX_BYTES - 1, _MAX_BYTES - 1, 0, 0) + _string(self._url))

    def feed(self, data: bytes) -> bytes | None:
        """Take bytes; return the next question if an answer is complete."""
        self._data += data
        if len(self._data) < 8:
            return None
        size = int.from_bytes(self._data[4:8], "little")
        if not 8 <= size <= _MAX_BYTES or len(self._data) > _MAX_BYTES:
            self.is_over = True
            return None
        if len(self._data) < size:
            return None
        packet, self._data = self._data[:size], self._data[size:]
        try:
            return self._answered(packet)
        except (struct.error, ValueError, IndexError):
            self.is_over = True
            return None

    def _answered(self, packet: bytes) -> bytes | None:
        kind = packet[:3]
        if kind == b"ACK":
            self.identity = Identity(protocol="opc-ua", address=self._address)
            body = _node(_OPEN) + _REQUEST_HEADER + struct.pack("<III", 0, 0, 1) + _NULL + struct.pack("<I", 10_000)
            security = struct.pack("<I", 0) + _string(_POLICY) + _NULL + _NULL
            return _message(b"OPN", security + struct.pack("<II", 1, 1) + body)
        reader = _Reader(packet[8:])
        if kind == b"OPN" and self.identity is not None:
            reader.take(4)
            for _ in range(3):
                reader.string()
            reader.take(8)
            if not reader.response(_OPENED):
                raise ValueError("no channel")
            reader.take(4)
            channel, token = struct.unpack("<II", reader.take(8))
            body = _node(_FIND) + _REQUEST_HEADER + _string(self._url) + _NULL + _NULL
            return _message(b"MSG", struct.pack("<IIII", channel, token, 2, 2) + body)
        if kind == b"MSG" and self.identity is not None:
            reader.take(16)
            if reader.response(_FOUND):
                self._servers(reader)
        self.is_over = True
        return None

    def _servers(self, reader: _Reader) -> None:
        (count,) = struct.unpack("<i", reader.take(4))
        if count < 1:
            return
        reader.string()
        product = reader.string()
        name = reader.localized()
        self.identity = Identity(
            protocol="opc-ua", address=self._address, name=printable_text(name), model=printable_text(product)
        )


class _Reader:
    """Takes values off the front; raises ValueError where there are none."""

    def __init__(self, data: bytes) -> None:
        self._data = data

    def take(self, size: int) -> bytes:
        if not 0 <= size <= len(self._data):
            raise ValueError("cut short")
        value, self._data = self._data[:size], self._data[size:]
        return value

    def string(self) -> bytes:
        (size,) = struct.unpack("<i", self.take(4))
        return self.take(size) if size > 0 else b""

    def localized(self) -> bytes:
        mask = self.take(1)[0]
        if mask & 1:
            self.string()
        return self.string() if mask & 2 else b""

    def response(self, number: int) -> bool:
        """Take type and header of a response; whether it is this one, and good."""
        if self.take(4) != _node(number):
            return False
        self.take(12)
        (result,) = struct.unpack("<I", self.take(4))
        if self.take(1) != b"\0":
            return False
        (strings,) = struct.unpack("<i", self.take(4))
        for _ in range(min(max(strings, 0), 64)):
            self.string()
        return self.take(3) == b"\0\0\0" and result == 0


def _message(kind: bytes, body: bytes) -> bytes:
    return kind + b"F" + struct.pack("<I", 8 + len(body)) + body


def _string(text: bytes) -> bytes:
    return struct.pack("<i", len(text)) + text


def _node(number: int) -> bytes:
    return b"\x01\x00" + struct.pack("<H", number)

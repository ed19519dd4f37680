"""Modbus on TCP and on serial lines: what a gateway needs to carry requests and answers, not what they mean.

Parses what a PC and a serial line say. No I/O. Numbers are those of the Modbus Application Protocol Specification
V1.1b3 and of Modbus over Serial Line V1.02.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Final, Literal

import msgspec

Framing = Literal["rtu", "ascii"]
BROADCAST: Final = 0
LAST_UNIT: Final = 247
MAX_PDU_BYTES: Final = 253
PATH_UNAVAILABLE: Final = 0x0A
TARGET_SILENT: Final = 0x0B
BUSY: Final = 0x06
_HEADER: Final = struct.Struct("!HHHB")
_ANSWER_BYTES: Final = {5: 5, 6: 5, 15: 5, 16: 5, 22: 7, 8: 5, 11: 5, 7: 2}
"""Length of the answer's PDU, by function, where it is always the same."""
_COUNTED: Final = frozenset({1, 2, 3, 4, 12, 17, 20, 21, 23})
"""Functions whose answer says its length in its second byte."""


class Request(msgspec.Struct, frozen=True):
    """A request as it came by TCP; ``pdu`` begins with the function."""

    transaction: int
    unit: int
    pdu: bytes


class RequestReader:
    """Takes the bytes of one TCP connection. What is no Modbus raises ValueError: the connection is to be closed."""

    def __init__(self) -> None:
        self._data = bytearray()

    def feed(self, data: bytes) -> Iterator[Request]:
        """Return the requests that are complete now."""
        self._data += data
        while len(self._data) >= _HEADER.size:
            transaction, protocol, length, unit = _HEADER.unpack_from(self._data)
            if protocol != 0 or not 2 <= length <= MAX_PDU_BYTES + 1:
                raise ValueError(f"expected Modbus TCP, got protocol {protocol} and length {length}")
            end = _HEADER.size + length - 1
            if len(self._data) < end:
                return
            pdu = bytes(self._data[_HEADER.size : end])
            del self._data[:end]
            yield Request(transaction, unit, pdu)


def tcp_answer(request: Request, pdu: bytes) -> bytes:
    """Return the frame that answers a request."""
    return _HEADER.pack(request.transaction, 0, len(pdu) + 1, request.unit) + pdu


def exception(request: Request, code: int) -> bytes:
    """Return the frame that answers a request with an exception."""
    return tcp_answer(request, bytes((request.pdu[0] | 0x80, code)))


def serial_frame(framing: Framing, unit: int, pdu: bytes) -> bytes:
    """Return a request as it goes over the line."""
    body = bytes((unit,)) + pdu
    if framing == "rtu":
        return body + crc16(body).to_bytes(2, "little")
    return b":" + (body + bytes((lrc(body),))).hex().upper().encode() + b"\r\n"


def crc16(data: bytes) -> int:
    """Return the checksum of RTU frames; low byte first on the line."""
    crc = 0xFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = (crc >> 1) ^ 0xA001 if crc & 1 else crc >> 1
    return crc


def lrc(data: bytes) -> int:
    """Return the checksum of ASCII frames."""
    return -sum(data) & 0xFF


class AnswerReader:
    """Takes what the line says after a request, and finds the answer in it, whatever noise came before.

    ``unit`` and ``function`` are the request's: another's answer, come too late, is none.
    """

    def __init__(self, framing: Framing, unit: int, function: int) -> None:
        self._framing = framing
        self._unit = unit
        self._function = function
        self._data = b""

    def feed(self, data: bytes) -> bytes | None:
        """Return the answer's PDU once it is complete beyond doubt."""
        self._data = (self._data + data)[-2 * 600 :]
        return self._ascii() if self._framing == "ascii" else self._rtu(silent=False)

    def silence(self) -> bytes | None:
        """Nothing more came for a while: return the answer's PDU if what is there is one."""
        return None if self._framing == "ascii" else self._rtu(silent=True)

    def _rtu(self, *, silent: bool) -> bytes | None:
        for start in range(len(self._data) - 3):
            if self._data[start] != self._unit or self._data[start + 1] & 0x7F != self._function:
                continue
            length = self._pdu_bytes(self._data[start + 1 :])
            if length is not None:
                frame = self._data[start : start + 1 + length + 2]
                if len(frame) == length + 3 and _is_whole(frame):
                    return frame[1:-2]
            elif silent and _is_whole(self._data[start:]) and len(self._data) - start <= MAX_PDU_BYTES + 3:
                return self._data[start + 1 : -2]
        return None

    def _pdu_bytes(self, pdu: bytes) -> int | None:
        if pdu[0] & 0x80:
            return 2
        if pdu[0] in _COUNTED:
            return 2 + pdu[1]
        return _ANSWER_BYTES.get(pdu[0])

    def _ascii(self) -> bytes | None:
        for piece in self._data.split(b":")[1:]:
            text, end, _ = piece.partition(b"\r\n")
            try:
                body = bytes.fromhex(text.decode("ascii"))
            except ValueError:
                continue
            is_whole = bool(end) and len(body) >= 4 and lrc(body[:-1]) == body[-1]
            if is_whole and body[0] == self._unit and body[1] & 0x7F == self._function:
                return body[1:-1]
        return None


def _is_whole(frame: bytes) -> bool:
    return len(frame) >= 4 and crc16(frame[:-2]) == int.from_bytes(frame[-2:], "little")

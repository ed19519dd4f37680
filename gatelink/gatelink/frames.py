"""Control frames: ``u32 length`` (big-endian, without itself) + payload. Parses what strangers send.

No I/O: feed it the bytes of a connection, take out the payloads. Golden frames are under ``tests/vectors/``.
"""

from __future__ import annotations

import struct
from typing import Final

from .exceptions import FrameError
from .wire import MAX_FRAME_BYTES

HEADER_BYTES: Final = 4
_length = struct.Struct("!I")


def encode_frame(payload: bytes) -> bytes:
    """Return the frame for a payload of 1 to ``MAX_FRAME_BYTES`` bytes."""
    if not 0 < len(payload) <= MAX_FRAME_BYTES:
        raise FrameError(f"a frame of {len(payload)} bytes cannot be sent; 1 to {MAX_FRAME_BYTES} are allowed")
    return _length.pack(len(payload)) + payload


class FrameReader:
    """Cuts a byte stream into frames; holds at most one incomplete frame."""

    __slots__ = ("_buffer", "_limit_bytes")

    def __init__(self, limit_bytes: int = MAX_FRAME_BYTES) -> None:
        self._buffer = b""
        self._limit_bytes = limit_bytes

    @property
    def pending_bytes(self) -> int:
        """Bytes received that do not make a whole frame yet."""
        return len(self._buffer)

    def receive_data(self, data: bytes) -> list[bytes]:
        """Return the payloads that ``data`` completes, oldest first.

        Raises FrameError as soon as a header announces an empty or oversized frame, before its payload is kept.
        """
        buffer = self._buffer + data if self._buffer else data
        payloads: list[bytes] = []
        start = 0
        while len(buffer) - start >= HEADER_BYTES:
            (size_bytes,) = _length.unpack_from(buffer, start)
            if not 0 < size_bytes <= self._limit_bytes:
                self._buffer = b""
                raise FrameError(f"a frame announces {size_bytes} bytes; 1 to {self._limit_bytes} are allowed")
            end = start + HEADER_BYTES + size_bytes
            if end > len(buffer):
                break
            payloads.append(bytes(buffer[start + HEADER_BYTES : end]))
            start = end
        self._buffer = bytes(buffer[start:])
        return payloads

"""From the TAP to the far end: frames and control messages in a row. No I/O of its own.

**Backpressure instead of a buffer**: no frame is taken from the TAP while bytes of the one before are still here, so
that at most one frame waits in user space; the others wait in the TAP's short queue, where the kernel drops them when
they are too many, and the inner connections slow down. That keeps the latency of a full line low.
"""

from __future__ import annotations

import ssl
from collections.abc import Callable
from typing import Final

from .framing import LENGTH, LENGTH_BYTES, MAX_CONTROL_BYTES, MAX_DATA_BYTES
from .inbound import RECORD_BYTES

BATCH_BYTES: Final = RECORD_BYTES
"""Small frames are collected up to one TLS record; more would only wait here."""
_CONTROL_BYTES: Final = 4 * (LENGTH_BYTES + MAX_CONTROL_BYTES)
"""Room behind the frames for control messages that come up while the line is full: security limit."""
BUFFER_BYTES: Final = BATCH_BYTES + LENGTH_BYTES + MAX_DATA_BYTES + _CONTROL_BYTES
_TURN_BATCHES: Final = 16
"""Batches that one turn sends at most, so that the other direction has its turn."""

Read = Callable[[memoryview], "int | None"]
Write = Callable[[memoryview], int]


class Outbound:
    """The sending half of a tunnel; ``read`` is the TAP's (None: nothing there), ``write`` the TLS connection's."""

    __slots__ = ("_end", "_first", "_read", "_start", "_view", "_write", "bytes", "frames", "stalls")

    def __init__(self, write: Write, buffer: memoryview) -> None:
        self._write = write
        self._view = buffer
        self._read: Read | None = None
        self._first = buffer[LENGTH_BYTES : LENGTH_BYTES + MAX_DATA_BYTES]
        self._start = 0
        self._end = 0
        self.bytes = 0
        """Everything sent, control messages too."""
        self.frames = 0
        self.stalls = 0
        """How often the connection took less than there was: backpressure."""

    def open(self, read: Read) -> None:
        """Take frames with ``read`` from now on."""
        self._read = read

    @property
    def is_open(self) -> bool:
        """Whether frames may be taken."""
        return self._read is not None

    @property
    def waiting_bytes(self) -> int:
        """Bytes that the connection has not taken yet."""
        return self._end - self._start

    def put(self, frame: bytes) -> bool:
        """Put a control frame in the row; returns False, and drops it, if the row is full."""
        if len(self._view) - self._end < len(frame):
            return False
        self._view[self._end : self._end + len(frame)] = frame
        self._end += len(frame)
        return True

    def flush(self) -> bool:
        """Send what waits; returns whether the connection took everything. Raises what TLS raises when it broke."""
        start, end, view, write = self._start, self._end, self._view, self._write
        try:
            while start < end:
                start += write(view[start:end])
        except (ssl.SSLWantWriteError, ssl.SSLWantReadError):
            self.stalls += 1
            self.bytes += start - self._start
            self._start = start
            return False
        self.bytes += start - self._start
        self._start = self._end = 0
        return True

    def transmit(self) -> bool:
        """Take frames from the TAP and send them until it is empty or the turn is over; only after a full ``flush``.

        Returns whether the connection took everything. Raises what TLS and the TAP raise.
        """
        view, read = self._view, self._read
        if read is None:
            return True
        for _ in range(_TURN_BATCHES):
            end = 0
            while end < BATCH_BYTES:
                size = read(view[end + LENGTH_BYTES : end + LENGTH_BYTES + MAX_DATA_BYTES])
                if size is None:
                    break
                LENGTH.pack_into(view, end, size)
                end += LENGTH_BYTES + size
                self.frames += 1
            if not end:
                break
            self._end = end
            if not self.flush():
                return False
            if end < BATCH_BYTES:
                break
        return True

"""From the TAP to the far end: frames and control messages in a row. No I/O of its own.

**Backpressure instead of a buffer**: on a fast line no frame is taken from the TAP while bytes of the one before are
still here. The others wait in the TAP's short queue, where the kernel drops them when they are too many.

**A slow line** (``line_rate``) needs more: 32 frames of 64 KiB in the TAP's queue would be a second. There the TAP is
emptied while the line is full, and what is too much for TARGET_S is dropped here, big frames only: the inner
connections slow down, and a Modbus request is neither lost nor late (docs/decisions/0012).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from .framing import LENGTH, LENGTH_BYTES, MAX_CONTROL_BYTES, MAX_DATA_BYTES
from .inbound import RECORD_BYTES, Waits
from .line_rate import LineRate

BATCH_BYTES: Final = RECORD_BYTES
"""Small frames are collected up to one TLS record; more would only wait here."""
TARGET_S: Final = 0.04
"""What may wait in the row of a slow line, as time."""
_LEAST_ROW_BYTES: Final = 16 * 1024
"""Ten full frames may always wait: TCP begins with as many (RFC 6928)."""
_SMALL_BYTES: Final = 600
"""Frames up to this size are never dropped here: requests, answers, acknowledgements, speech."""
_SLOW_RECORD_S: Final = 0.002
_SLOW_RECORD_LEAST_BYTES: Final = 2800
"""On a slow line a TLS record is what is sent in 2 ms: the far end can use nothing of a record that is incomplete."""
_CONTROL_BYTES: Final = 4 * (LENGTH_BYTES + MAX_CONTROL_BYTES)
"""Room behind the frames for control messages that come up while the line is full: security limit."""
ROW_BYTES: Final = 256 * 1024
BUFFER_BYTES: Final = ROW_BYTES + LENGTH_BYTES + MAX_DATA_BYTES + _CONTROL_BYTES
_TURN_BATCHES: Final = 16
"""Batches that one turn sends at most, so that the other direction has its turn."""
_TURN_FRAMES: Final = 32

Read = Callable[[memoryview], "int | None"]
Write = Callable[[memoryview], int]


class Outbound:
    """The sending half of a tunnel; ``read`` is the TAP's (None: nothing there), ``write`` the TLS connection's."""

    __slots__ = (
        "_first",
        "_read",
        "_record_bytes",
        "_refused_bytes",
        "_row_bytes",
        "_start",
        "_view",
        "_would_wait",
        "_write",
        "bytes",
        "dropped",
        "end",
        "frames",
        "is_stalled",
        "rate",
        "stalls",
    )

    def __init__(self, write: Write, buffer: memoryview, would_wait: Waits) -> None:
        self._write = write
        self._would_wait = would_wait
        self._view = buffer
        self._first = buffer[LENGTH_BYTES : LENGTH_BYTES + MAX_DATA_BYTES]
        self._read: Read | None = None
        self._start = 0
        self.end = 0
        """Where the row ends in the buffer; 0 when nothing waits."""
        self.is_stalled = False
        """Whether the connection took less than there was: it has to say when it takes more."""
        self._record_bytes = RECORD_BYTES
        self._refused_bytes = 0
        self._row_bytes = float(ROW_BYTES)
        self.rate = LineRate()
        self.bytes = 0
        """Everything sent, control messages too."""
        self.frames = 0
        self.dropped = 0
        """Frames for which a slow line had no room."""
        self.stalls = 0
        """How often the connection took less than there was: backpressure."""

    def open(self, read: Read) -> None:
        """Take frames with ``read`` from now on."""
        self._read = read

    @property
    def waiting_bytes(self) -> int:
        """Bytes that the connection has not taken yet."""
        return self.end - self._start

    @property
    def wants_frames(self) -> bool:
        """Whether frames are to be taken now."""
        if self.end == 0:
            return self._read is not None
        return self.rate.is_slow and self.end < ROW_BYTES

    def put(self, frame: bytes) -> bool:
        """Put a control frame in the row; returns False, and drops it, if the row is full."""
        if len(self._view) - self.end < len(frame):
            return False
        self._view[self.end : self.end + len(frame)] = frame
        self.end += len(frame)
        return True

    def flush(self) -> None:
        """Send what waits, as far as the connection takes it. Raises what TLS raises when it broke."""
        start, end, view, write = self._start, self.end, self._view, self._write
        # OpenSSL wants a write that it refused to come again with at least as many bytes.
        record_bytes = self._refused_bytes or self._record_bytes
        try:
            while start < end:
                start += write(view[start : start + record_bytes] if end - start > record_bytes else view[start:end])
        except self._would_wait:
            self.stalls += 1
            self.bytes += start - self._start
            self._start = start
            self._refused_bytes = min(record_bytes, end - start)
            self.is_stalled = True
        else:
            self.bytes += start - self._start
            self._start = self.end = self._refused_bytes = 0
            self.is_stalled = False

    def transmit_one(self) -> None:
        """Take one frame from the TAP and send it, without asking for a second; otherwise as ``transmit``.

        For a TAP that was empty a moment ago: a request that waits for its answer comes alone.
        """
        if self._read is None:
            return
        size = self._read(self._first)
        if size is None:
            return
        LENGTH.pack_into(self._view, 0, size)
        self.end = LENGTH_BYTES + size
        self.frames += 1
        self.flush()

    def transmit(self) -> None:
        """Take frames from the TAP and send them until it is empty or the turn is over; only when nothing waits.

        Raises what TLS and the TAP raise.
        """
        view, read = self._view, self._read
        if read is None:
            return
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
            self.end = end
            self.flush()
            if self.is_stalled or end < BATCH_BYTES:
                break

    def queue(self) -> None:
        """The line is full, and slow: take frames into the row, and drop the big ones that would wait too long."""
        view, read = self._view, self._read
        if read is None:
            return
        self._move_up()
        for _ in range(_TURN_FRAMES):
            end = self.end
            if end >= ROW_BYTES:
                return
            size = read(view[end + LENGTH_BYTES : end + LENGTH_BYTES + MAX_DATA_BYTES])
            if size is None:
                return
            if size > _SMALL_BYTES and end - self._start > self._row_bytes:
                self.dropped += 1
                continue
            LENGTH.pack_into(view, end, size)
            self.end = end + LENGTH_BYTES + size
            self.frames += 1

    def measure(self, now: float) -> bool:
        """The line is full at ``now``: see how fast it is; returns whether that changed whether it is slow."""
        rate = self.rate
        was_slow = rate.is_slow
        if rate.full(now, self.bytes):
            speed = rate.bytes_a_second or 0.0
            if rate.is_slow:
                self._row_bytes = max(_LEAST_ROW_BYTES, speed * TARGET_S)
                self._record_bytes = min(RECORD_BYTES, max(_SLOW_RECORD_LEAST_BYTES, int(speed * _SLOW_RECORD_S)))
            else:
                self._row_bytes, self._record_bytes = ROW_BYTES, RECORD_BYTES
        return rate.is_slow != was_slow

    def _move_up(self) -> None:
        """Make room behind the row. The bytes stay the same, as TLS wants of a write that is tried again."""
        if self._start > ROW_BYTES // 2:
            waiting = self.end - self._start
            self._view[:waiting] = self._view[self._start : self.end]
            self._start, self.end = 0, waiting

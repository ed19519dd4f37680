"""The sending half of a tunnel: the row, backpressure, and what a slow line drops."""

from __future__ import annotations

from collections import deque

from gatelink.tunnel.framing import LENGTH, LENGTH_BYTES, MAX_DATA_BYTES
from gatelink.tunnel.outbound import BUFFER_BYTES, Outbound


class _Line:
    """A TLS connection that takes so many bytes; it insists, as OpenSSL does, that a refused write comes again."""

    def __init__(self, room: int = 1 << 30) -> None:
        self.room = room
        self.taken = bytearray()
        self.refused: bytes = b""

    def write(self, data: memoryview) -> int:
        assert len(data) >= len(self.refused)
        assert bytes(data[: len(self.refused)]) == self.refused
        size = min(len(data), 16384)
        if size > self.room:
            self.refused = bytes(data[:size])
            raise BlockingIOError
        self.refused = b""
        self.room -= size
        self.taken += data[:size]
        return size

    def frames(self) -> list[bytes]:
        found, start = [], 0
        while start < len(self.taken):
            (size,) = LENGTH.unpack_from(self.taken, start)
            start += LENGTH_BYTES
            found.append(bytes(self.taken[start : start + size]))
            start += size
        return found


class _Tap:
    def __init__(self) -> None:
        self.frames: deque[bytes] = deque()
        self.reads = 0

    def read(self, view: memoryview) -> int | None:
        self.reads += 1
        if not self.frames:
            return None
        frame = self.frames.popleft()
        view[: len(frame)] = frame
        return len(frame)


def _outbound(line: _Line, tap: _Tap) -> Outbound:
    outbound = Outbound(line.write, memoryview(bytearray(BUFFER_BYTES)), (BlockingIOError,))
    outbound.open(tap.read)
    return outbound


def _make_slow(outbound: Outbound) -> None:
    """Say that the line took 500,000 bytes in a fifth of a second (20 Mbit/s)."""
    before = outbound.bytes
    outbound.measure(100.0)
    outbound.bytes += 500_000
    assert outbound.measure(100.2)
    outbound.bytes = before
    assert outbound.rate.is_slow


def test_frames_go_out_in_order_when_the_line_takes_them() -> None:
    line, tap = _Line(), _Tap()
    outbound = _outbound(line, tap)
    frames = [bytes([number]) * (60 + number * 900) for number in range(70)]
    tap.frames.extend(frames)
    while tap.frames:
        outbound.transmit()
    assert line.frames() == frames
    assert outbound.end == 0
    assert outbound.bytes == len(line.taken)


def test_one_read_is_made_when_one_frame_is_expected() -> None:
    line, tap = _Line(), _Tap()
    outbound = _outbound(line, tap)
    tap.frames.append(b"r" * 66)
    outbound.transmit_one()
    assert line.frames() == [b"r" * 66]
    assert tap.reads == 1


def test_no_further_frame_is_taken_when_the_line_is_full() -> None:
    line, tap = _Line(room=10_000), _Tap()
    outbound = _outbound(line, tap)
    tap.frames.extend([b"a" * 9000, b"b" * 60_000, b"c" * 60])
    outbound.transmit()
    assert (outbound.is_stalled, outbound.wants_frames) == (True, False)
    assert list(tap.frames) == [b"c" * 60]
    line.room = 1 << 30
    outbound.flush()
    assert (outbound.is_stalled, outbound.wants_frames) == (False, True)
    assert line.frames() == [b"a" * 9000, b"b" * 60_000]


def test_refused_write_comes_again_whole_when_the_line_turned_out_to_be_slow() -> None:
    line, tap = _Line(room=0), _Tap()
    outbound = _outbound(line, tap)
    tap.frames.append(b"x" * 40_000)
    outbound.transmit()
    _make_slow(outbound)
    outbound.flush()
    line.room = 1 << 30
    outbound.flush()
    assert line.frames() == [b"x" * 40_000]


def test_big_frames_are_dropped_and_small_ones_kept_when_a_slow_line_has_too_many() -> None:
    line, tap = _Line(room=0), _Tap()
    outbound = _outbound(line, tap)
    tap.frames.append(b"0" * 1514)
    outbound.transmit()
    _make_slow(outbound)
    assert outbound.wants_frames
    for _ in range(200):
        tap.frames.extend([b"B" * 1514, b"s" * 66])
    while tap.frames:
        outbound.queue()
    waiting_s = outbound.waiting_bytes / 2.5e6
    assert waiting_s < 0.055
    assert outbound.dropped > 100
    line.room = 1 << 30
    outbound.flush()
    sizes = [len(frame) for frame in line.frames()]
    assert sizes.count(66) == 200
    assert sizes.count(1514) == 201 - outbound.dropped


def test_row_is_bounded_when_small_frames_never_end() -> None:
    line, tap = _Line(room=0), _Tap()
    outbound = _outbound(line, tap)
    tap.frames.append(b"0" * 1514)
    outbound.transmit()
    _make_slow(outbound)
    tap.frames.extend([b"s" * 500] * 5000)
    while outbound.wants_frames:
        outbound.queue()
    assert outbound.waiting_bytes <= BUFFER_BYTES
    assert len(tap.frames) > 4000


def test_row_keeps_its_bytes_when_it_is_moved_up_under_a_refused_write() -> None:
    line, tap = _Line(room=0), _Tap()
    outbound = _outbound(line, tap)
    tap.frames.append(b"0" * 600)
    outbound.transmit()
    _make_slow(outbound)
    sent = [b"0" * 600]
    for number in range(3000):
        frame = bytes([number % 251]) * 500
        tap.frames.append(frame)
        if outbound.end:
            outbound.queue()
        else:
            outbound.transmit()
        if not tap.frames:
            sent.append(frame)
        tap.frames.clear()
        line.room += 490
        outbound.flush()
    line.room = 1 << 30
    outbound.flush()
    assert line.frames() == sent


def test_control_frame_has_room_when_the_largest_frame_waits() -> None:
    line, tap = _Line(room=0), _Tap()
    outbound = _outbound(line, tap)
    tap.frames.append(b"x" * MAX_DATA_BYTES)
    outbound.transmit()
    assert outbound.put(b"p" * 30)


def test_control_frame_is_dropped_when_the_row_is_full() -> None:
    line, tap = _Line(room=0), _Tap()
    outbound = _outbound(line, tap)
    accepted = 0
    while outbound.put(b"p" * 250):
        accepted += 1
    assert accepted * 250 <= BUFFER_BYTES

"""What a hostile far end may send: nothing crashes the receiving half of a tunnel, and nothing is invented or lost."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from gatelink.exceptions import FrameError
from gatelink.tunnel.framing import (
    CONTROL_BIT,
    LENGTH,
    MAX_CONTROL_BYTES,
    MAX_DATA_BYTES,
    Control,
    End,
    Ping,
    decode_control,
    encode_control,
)
from gatelink.tunnel.inbound import BUFFER_BYTES, RECORD_BYTES, Inbound


class _Stream:
    """TLS: gives out the given records, one a read; then it would have to wait."""

    def __init__(self, data: bytes, sizes: list[int]) -> None:
        self.data = data
        self.sizes = sizes
        self.number = 0

    def read(self, limit: int, view: memoryview) -> int:
        if not self.data:
            raise BlockingIOError
        size = min(self.sizes[self.number % len(self.sizes)], limit, len(view), len(self.data))
        self.number += 1
        view[:size] = self.data[:size]
        self.data = self.data[size:]
        return size


def _receive(data: bytes, sizes: list[int], *, vnet_header: bool = False) -> tuple[list[bytes], list[Control]]:
    """Feed it all; raises FrameError."""
    frames: list[bytes] = []
    controls: list[Control] = []
    stream = _Stream(data, sizes)

    def write(view: memoryview) -> int:
        frames.append(bytes(view))
        return len(view)

    inbound = Inbound(stream.read, controls.append, memoryview(bytearray(BUFFER_BYTES)), (BlockingIOError,))
    inbound.open(write, vnet_header=vnet_header)
    while stream.data:
        assert inbound.receive()
    assert inbound.frames == len(frames)
    return frames, controls


_sizes = st.lists(st.one_of(st.integers(1, RECORD_BYTES), st.just(RECORD_BYTES)), min_size=1, max_size=5)
_frame_sizes = st.one_of(st.integers(14, 200), st.integers(14, MAX_DATA_BYTES - 10), st.just(MAX_DATA_BYTES - 10))


@given(st.lists(st.one_of(_frame_sizes, st.just(0)), max_size=12), _sizes)
def test_frames_come_out_as_they_went_in_when_records_are_cut_anywhere(sizes: list[int], records: list[int]) -> None:
    wanted = [bytes([number + 1]) * size for number, size in enumerate(sizes) if size]
    pings = sizes.count(0)
    data = b"".join(
        LENGTH.pack(size) + bytes([number + 1]) * size if size else encode_control(Ping(b"12345678"))
        for number, size in enumerate(sizes)
    )
    # Big frames in records of one byte would only take long.
    if len(data) > 5000:
        records = [max(1000, size) for size in records]
    frames, controls = _receive(data, records)
    assert frames == wanted
    assert controls == [Ping(b"12345678")] * pings


@given(st.binary(max_size=3000), _sizes)
def test_only_frame_error_is_raised_when_the_bytes_are_arbitrary(data: bytes, records: list[int]) -> None:
    try:
        frames, _controls = _receive(data, records, vnet_header=True)
    except FrameError:
        return
    assert all(24 <= len(frame) <= MAX_DATA_BYTES for frame in frames)


@given(st.integers(0, 2**32 - 1))
def test_word_is_refused_at_once_when_it_is_out_of_bounds(word: int) -> None:
    acceptable = 14 <= word <= MAX_DATA_BYTES - 10 or (
        0 < word & ~CONTROL_BIT <= MAX_CONTROL_BYTES and word >= CONTROL_BIT
    )
    try:
        _receive(LENGTH.pack(word), [4])
    except FrameError:
        assert not acceptable
    else:
        assert acceptable


@given(st.binary(max_size=MAX_CONTROL_BYTES))
def test_control_payload_is_a_message_or_frame_error_when_arbitrary(payload: bytes) -> None:
    try:
        message = decode_control(payload)
    except FrameError:
        return
    assert len(encode_control(message)) <= MAX_CONTROL_BYTES + 4


@given(st.text(max_size=120))
def test_end_fits_when_its_text_has_the_allowed_length(text: str) -> None:
    try:
        frame = encode_control(End(text))
    except FrameError:
        assert len(text.encode(errors="replace")) > 200
        return
    assert len(frame) <= MAX_CONTROL_BYTES + 4

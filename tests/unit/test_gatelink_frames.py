"""Control frames."""

from __future__ import annotations

import pytest

from gatelink.exceptions import FrameError
from gatelink.frames import FrameReader, encode_frame
from gatelink.wire import MAX_FRAME_BYTES


def test_frames_come_out_whole_when_bytes_come_one_by_one() -> None:
    reader = FrameReader()
    payloads = [
        payload
        for byte in encode_frame(b"one") + encode_frame(b"two")
        for payload in reader.receive_data(bytes([byte]))
    ]
    assert payloads == [b"one", b"two"]
    assert reader.pending_bytes == 0


def test_oversized_frame_is_refused_when_only_its_length_is_known() -> None:
    reader = FrameReader()
    with pytest.raises(FrameError, match="announces 65537 bytes"):
        reader.receive_data((MAX_FRAME_BYTES + 1).to_bytes(4, "big"))
    assert reader.pending_bytes == 0


def test_empty_frame_is_refused() -> None:
    with pytest.raises(FrameError, match="announces 0 bytes"):
        FrameReader().receive_data(bytes(4))


def test_lower_limit_holds_before_login() -> None:
    with pytest.raises(FrameError, match="1 to 100"):
        FrameReader(100).receive_data((101).to_bytes(4, "big"))


@pytest.mark.parametrize("size", [0, MAX_FRAME_BYTES + 1])
def test_frame_that_nobody_would_take_is_not_made(size: int) -> None:
    with pytest.raises(FrameError):
        encode_frame(bytes(size))


def test_largest_frame_passes() -> None:
    payload = bytes(MAX_FRAME_BYTES)
    assert FrameReader().receive_data(encode_frame(payload)) == [payload]

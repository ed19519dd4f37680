"""What the bytes of a tunnel mean."""

from __future__ import annotations

import pytest

from gatelink.exceptions import FrameError
from gatelink.tunnel import offload
from gatelink.tunnel.framing import (
    CONTROL_BIT,
    LENGTH,
    LENGTH_BYTES,
    MAX_CONTROL_BYTES,
    MAX_DATA_BYTES,
    Control,
    End,
    Hello,
    Ping,
    Pong,
    control_size,
    decode_control,
    encode_control,
)
from gatelink.tunnel.offload import Offload


@pytest.mark.parametrize(
    "message", [Hello(offload=7, mtu_bytes=1400), Ping(b"12345678"), Pong(b"87654321"), End("over"), Hello()]
)
def test_control_message_comes_back_when_it_was_encoded(message: Control) -> None:
    frame = encode_control(message)
    (word,) = LENGTH.unpack_from(frame)
    assert control_size(word) == len(frame) - LENGTH_BYTES
    assert decode_control(frame[LENGTH_BYTES:]) == message


def test_golden_bytes_stay_when_the_code_changes() -> None:
    assert (
        encode_control(Ping(b"\0\0\0\0\0\0\0\1")).hex()
        == "8000001b82a474797065a470696e67a5746f6b656ec4080000000000000001"
    )
    assert encode_control(Hello(offload=7)).hex() == (
        "8000002283a474797065a568656c6c6fa76f66666c6f616407a96d74755f6279746573cd05dc"
    )


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"\xc1",
        b"\x80",
        bytes.fromhex("81a474797065a470696e67"),
        bytes.fromhex("82a474797065a470696e67a5746f6b656ec40100"),
        bytes.fromhex("81a474797065a46576696c"),
        b"\x91" * 200,
        bytes.fromhex("82a474797065a3656e64a474657874a1ff"),
    ],
)
def test_control_payload_is_refused_when_it_is_no_message(payload: bytes) -> None:
    with pytest.raises(FrameError):
        decode_control(payload)


def test_unknown_field_is_ignored_when_a_newer_peer_says_more() -> None:
    assert decode_control(bytes.fromhex("83a474797065a3656e64a474657874a162a36e6577c3")) == End("b")


@pytest.mark.parametrize("word", [0, 1, 13, MAX_DATA_BYTES + 1, CONTROL_BIT - 1])
def test_word_is_refused_when_it_announces_an_unacceptable_data_frame(word: int) -> None:
    with pytest.raises(FrameError, match=str(word)):
        control_size(word)


@pytest.mark.parametrize("size", [0, MAX_CONTROL_BYTES + 1, CONTROL_BIT - 1])
def test_word_is_refused_when_it_announces_an_unacceptable_control_frame(size: int) -> None:
    with pytest.raises(FrameError, match=str(size)):
        control_size(CONTROL_BIT | size)


def test_end_is_refused_when_its_text_is_too_long() -> None:
    with pytest.raises(FrameError):
        decode_control(encode_control(End("x" * 121))[LENGTH_BYTES:])


@pytest.mark.parametrize(
    ("ours", "theirs", "in_force"),
    [
        (offload.ALL, int(offload.ALL), offload.ALL),
        (offload.ALL, 0, Offload.NONE),
        (Offload.NONE, int(offload.ALL), Offload.NONE),
        (offload.ALL, 0xFFFF, offload.ALL),
        (offload.ALL, int(Offload.CHECKSUM | Offload.TCP4), Offload.CHECKSUM | Offload.TCP4),
        (offload.ALL, int(Offload.TCP4), Offload.NONE),
    ],
)
def test_offload_is_what_both_offer_when_negotiated(ours: Offload, theirs: int, in_force: Offload) -> None:
    assert offload.negotiate(ours, theirs) == in_force

"""What strangers send: no input crashes or hangs a parser, or makes it hold more than its bound."""

from __future__ import annotations

from hypothesis import example, given
from hypothesis import strategies as st

from gatelink.claims import parse_claim
from gatelink.exceptions import FrameError, HelloError, InputError, LinkError, MessageError, UnknownMessage
from gatelink.frames import HEADER_BYTES, FrameReader, encode_frame
from gatelink.hello import parse_client_hello
from gatelink.link.endpoints import Proxy
from gatelink.link.proxy import check_answer
from gatelink.messages import encode
from gatelink.wire import MAX_FRAME_BYTES, MAX_HELLO_BYTES
from vectors.samples import SAMPLES, VOCABULARIES, golden

HELLO = bytes.fromhex(
    "160301008d010000890303" + "11" * 32 + "00" + "00021301" + "0100" + "005e"
    "0000000f000d00000a676d2e6578616d706c65"
    "00100015001312676174656c696e6b2d636f6e74726f6c2f31"
    "002b0003020304" + "0033000200ff" + "ff01000100" + "0017000000230000" + "000a00040002001d"
)


@given(st.binary(max_size=2000))
@example(HELLO)
def test_client_hello_parser_ends_on_any_bytes(data: bytes) -> None:
    try:
        hello = parse_client_hello(data)
    except HelloError:
        return
    assert hello is not None or len(data) < MAX_HELLO_BYTES


@given(st.integers(0, len(HELLO) - 1), st.integers(0, 255), st.binary(max_size=40))
def test_client_hello_parser_ends_on_bent_hellos(position: int, value: int, tail: bytes) -> None:
    bent = bytearray(HELLO)
    bent[position] = value
    try:
        parse_client_hello(bytes(bent) + tail)
    except HelloError:
        return


@given(st.lists(st.binary(min_size=1, max_size=300), max_size=8), st.data())
def test_frames_survive_any_cutting(payloads: list[bytes], data: st.DataObject) -> None:
    stream = b"".join(encode_frame(payload) for payload in payloads)
    reader = FrameReader()
    received: list[bytes] = []
    while stream:
        size = data.draw(st.integers(1, len(stream)))
        received += reader.receive_data(stream[:size])
        stream = stream[size:]
    assert received == payloads
    assert reader.pending_bytes == 0


@given(st.lists(st.binary(max_size=100), max_size=20))
def test_frame_reader_is_bounded_on_any_bytes(pieces: list[bytes]) -> None:
    reader = FrameReader()
    try:
        for piece in pieces:
            reader.receive_data(piece)
    except FrameError:
        pass
    assert reader.pending_bytes <= HEADER_BYTES + MAX_FRAME_BYTES


@given(st.binary(max_size=400), st.sampled_from(sorted(VOCABULARIES)))
def test_vocabulary_says_what_is_wrong_on_any_bytes(payload: bytes, who: str) -> None:
    try:
        message = VOCABULARIES[who].decode(payload)
    except (MessageError, UnknownMessage):
        return
    assert VOCABULARIES[who].decode(encode(message)) == message


@given(st.sampled_from(sorted(SAMPLES)), st.data(), st.sampled_from(sorted(VOCABULARIES)))
def test_vocabulary_says_what_is_wrong_on_bent_messages(name: str, data: st.DataObject, who: str) -> None:
    payload = bytearray(golden(name)[HEADER_BYTES:])
    for _ in range(data.draw(st.integers(1, 3))):
        payload[data.draw(st.integers(0, len(payload) - 1))] = data.draw(st.integers(0, 255))
    try:
        VOCABULARIES[who].decode(bytes(payload))
    except (MessageError, UnknownMessage):
        return


@given(st.text(max_size=300), st.sampled_from(["", "glc1_", "gli1_"]))
def test_claim_parser_ends_on_any_text(text: str, prefix: str) -> None:
    try:
        parse_claim(prefix + text, "appliance")
    except InputError:
        return


@given(st.binary(max_size=300))
@example(b"HTTP/1.1 200 OK\r\n\r\n")
@example(b"HTTP/1.1 999999999999999999999 x\r\n\r\n")
def test_proxy_answer_parser_ends_on_any_bytes(data: bytes) -> None:
    try:
        done = check_answer(data, Proxy("proxy", 3128))
    except LinkError:
        return
    assert done == data.endswith(b"\r\n\r\n")

"""Modbus on the line, against pymodbus: frames are its frames, answers are found in whatever noise there is."""

from __future__ import annotations

import itertools
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pymodbus.framer import FramerAscii, FramerRTU
from pymodbus.pdu import DecodePDU

from sitemanager.core.modbus import (
    AnswerReader,
    Framing,
    Request,
    RequestReader,
    exception,
    serial_frame,
    tcp_answer,
)

READ_TWO = bytes((3, 0, 0, 0, 2))
ANSWER = bytes((3, 4, 0, 7, 0, 8))
units = st.integers(1, 247)
pdus = st.binary(min_size=1, max_size=253)


def framed(framing: Framing, unit: int, pdu: bytes) -> bytes:
    """The frame as pymodbus makes it."""
    framer = (FramerRTU if framing == "rtu" else FramerAscii)(DecodePDU(False))
    return bytes(framer.encode(pdu, unit, 0))


@given(st.sampled_from(["rtu", "ascii"]), units, pdus)
def test_frame_is_pymodbus_own(framing: Framing, unit: int, pdu: bytes) -> None:
    assert serial_frame(framing, unit, pdu) == framed(framing, unit, pdu)


@pytest.mark.parametrize("framing", ["rtu", "ascii"])
@given(noise=st.binary(max_size=20), cuts=st.lists(st.integers(0, 40), max_size=4))
def test_answer_is_found_when_noise_is_before_it_and_it_comes_in_pieces(
    framing: Framing, noise: bytes, cuts: list[int]
) -> None:
    noise = bytes(byte for byte in noise if byte not in (7, 58))
    data = noise + framed(framing, 7, ANSWER)
    reader, found = AnswerReader(framing, 7, 3), None
    edges = sorted({0, len(data), *(cut for cut in cuts if cut < len(data))})
    for begin, end in itertools.pairwise(edges):
        assert found is None
        found = reader.feed(data[begin:end])
    assert found == ANSWER


@given(st.sampled_from(["rtu", "ascii"]), st.lists(st.binary(max_size=300), max_size=6))
def test_no_noise_is_taken_for_an_answer_of_another_unit(framing: Framing, pieces: list[bytes]) -> None:
    reader = AnswerReader(framing, 7, 3)
    for piece in pieces:
        found = reader.feed(piece) or reader.silence()
        assert found is None or found[0] & 0x7F == 3


def test_answer_of_unknown_length_is_taken_when_the_line_falls_silent() -> None:
    identification = bytes((43, 14, 1, 1, 0, 0, 1, 0, 4)) + b"ACME"
    reader = AnswerReader("rtu", 7, 43)
    frame = framed("rtu", 7, identification)
    assert reader.feed(frame[:6]) is None
    assert reader.silence() is None
    assert reader.feed(frame[6:]) is None
    assert reader.silence() == identification


def test_late_answer_of_another_unit_or_function_is_none() -> None:
    reader = AnswerReader("rtu", 7, 3)
    assert reader.feed(framed("rtu", 8, ANSWER)) is None
    assert reader.feed(framed("rtu", 7, bytes((4, 2, 0, 1)))) is None
    assert reader.feed(framed("rtu", 7, bytes((0x83, 2)))) == bytes((0x83, 2))


@given(st.lists(st.tuples(st.integers(0, 65535), st.integers(0, 255), pdus), max_size=5), st.integers(1, 50))
def test_requests_are_read_whatever_pieces_tcp_makes_of_them(wanted: list[tuple[int, int, bytes]], size: int) -> None:
    requests = [Request(*one) for one in wanted]
    data = b"".join(tcp_answer(request, request.pdu) for request in requests)
    reader = RequestReader()
    found = [one for at in range(0, len(data), size) for one in reader.feed(data[at : at + size])]
    assert found == requests


@given(st.binary(max_size=600))
def test_requests_or_an_error_come_of_any_bytes(data: bytes) -> None:
    try:
        for request in RequestReader().feed(data):
            assert 1 <= len(request.pdu) <= 253
    except ValueError:
        pass


def test_exception_names_the_request() -> None:
    answer = exception(Request(9, 5, READ_TWO), 0x0B)
    assert answer == struct.pack("!HHHBBB", 9, 0, 3, 5, 0x83, 0x0B)

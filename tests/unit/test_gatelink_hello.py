"""The ClientHello parser, on what real clients send (made by OpenSSL) and on bent bytes."""

from __future__ import annotations

import ssl

import pytest

from gatelink.exceptions import HelloError
from gatelink.hello import looks_like_tls, parse_client_hello
from gatelink.wire import MAX_HELLO_BYTES


def real_hello(protocols: list[str], server_name: str | None) -> bytes:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    if protocols:
        context.set_alpn_protocols(protocols)
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = context.wrap_bio(incoming, outgoing, server_hostname=server_name)
    with pytest.raises(ssl.SSLWantReadError):
        tls.do_handshake()
    return outgoing.read()


def in_records(hello: bytes, size: int) -> bytes:
    """Spread the handshake message of a one-record hello over records of ``size`` bytes."""
    body = hello[5:]
    pieces = [body[start : start + size] for start in range(0, len(body), size)]
    return b"".join(b"\x16\x03\x01" + len(piece).to_bytes(2, "big") + piece for piece in pieces)


def test_name_and_protocols_are_read() -> None:
    hello = parse_client_hello(real_hello(["gatelink-control/1", "h2"], "gm.example"))
    assert hello is not None
    assert hello.server_name == "gm.example"
    assert hello.protocols == ("gatelink-control/1", "h2")


def test_hello_without_extensions_of_ours_is_fine() -> None:
    hello = parse_client_hello(real_hello([], None))
    assert hello is not None
    assert (hello.server_name, hello.protocols) == (None, ())


def test_every_shorter_prefix_is_incomplete() -> None:
    data = real_hello(["gatelink-relay/1"], "gm.example")
    assert all(parse_client_hello(data[:size]) is None for size in range(1, len(data)))


@pytest.mark.parametrize("size", [1, 3, 4, 7, 100])
def test_hello_in_many_records_reads_the_same(size: int) -> None:
    data = real_hello(["gatelink-control/1"], "gm.example")
    assert parse_client_hello(in_records(data, size)) == parse_client_hello(data)


def test_what_follows_the_hello_is_ignored() -> None:
    data = real_hello(["gatelink-control/1"], None)
    assert parse_client_hello(data + b"early data") == parse_client_hello(data)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"\x15\x03\x01\x00\x02\x02\x00", "handshake record"),
        (b"\x16\x02", "record version"),
        (b"\x16\x03\x01\x00\x00", "announces 0 bytes"),
        (b"\x16\x03\x01\xff\xff", "announces 65535 bytes"),
        (b"\x16\x03\x01\x00\x04\x02\x00\x00\x00", "handshake type 2"),
        (b"\x16\x03\x01\x00\x04\x01\x00\xff\xff", "ClientHello announces"),
        (b"\x16\x03\x01\x00\x05\x01\x00\x00\x01\x03", "beyond its end"),
    ],
)
def test_bent_hello_is_refused(data: bytes, message: str) -> None:
    with pytest.raises(HelloError, match=message):
        parse_client_hello(data)


def test_hello_that_never_ends_is_refused_at_the_limit() -> None:
    record = b"\x16\x03\x01\x00\x01"
    data = (
        record + b"\x01" + record + b"\x00" + record + b"\x3f" + record + b"\x00" + (record + b"\x00") * MAX_HELLO_BYTES
    )
    assert parse_client_hello(data[: MAX_HELLO_BYTES - 1]) is None
    with pytest.raises(HelloError, match="longer than"):
        parse_client_hello(data[:MAX_HELLO_BYTES])


def test_extension_given_twice_is_refused() -> None:
    alpn = b"\x00\x10\x00\x05\x00\x03\x02h2"
    body = (
        b"\x03\x03"
        + bytes(32)
        + b"\x00"
        + b"\x00\x02\x13\x01"
        + b"\x01\x00"
        + len(alpn * 2).to_bytes(2, "big")
        + alpn * 2
    )
    message = b"\x01" + len(body).to_bytes(3, "big") + body
    with pytest.raises(HelloError, match="twice"):
        parse_client_hello(b"\x16\x03\x01" + len(message).to_bytes(2, "big") + message)


def test_only_handshake_records_look_like_tls() -> None:
    assert looks_like_tls(b"\x16")
    assert not looks_like_tls(b"GET / HTTP/1.1")

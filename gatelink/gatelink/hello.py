"""Reads ALPN and SNI from a TLS ClientHello without consuming it. Parses what strangers send.

No I/O. Layout: RFC 8446 section 4.1.2 and 5.1; server_name: RFC 6066 section 3; ALPN: RFC 7301 section 3.1.
A ClientHello may be spread over several records; every length is checked against what encloses it.
"""

from __future__ import annotations

from typing import Final

import msgspec

from .exceptions import HelloError
from .wire import MAX_HELLO_BYTES

_RECORD_HANDSHAKE: Final = 0x16
_HANDSHAKE_CLIENT_HELLO: Final = 0x01
_EXTENSION_SERVER_NAME: Final = 0
_EXTENSION_ALPN: Final = 16
_MAX_RECORD_BYTES: Final = 1 << 14


class ClientHello(msgspec.Struct, frozen=True):
    """What the front door needs of a ClientHello."""

    server_name: str | None
    protocols: tuple[str, ...]
    """ALPN names in the client's order."""


def looks_like_tls(data: bytes) -> bool:
    """Say whether the first byte (there must be one) begins a TLS handshake record."""
    return data[0] == _RECORD_HANDSHAKE


def parse_client_hello(data: bytes) -> ClientHello | None:
    """Return the ClientHello that ``data`` begins with, or None while it is incomplete.

    Raises HelloError if the bytes cannot become an acceptable ClientHello, at the latest beyond ``MAX_HELLO_BYTES``.
    """
    message = _handshake_message(data)
    if message is None:
        if len(data) >= MAX_HELLO_BYTES:
            raise HelloError(f"the ClientHello is longer than {MAX_HELLO_BYTES} bytes")
        return None
    return _parse_body(_Cursor(message))


def _handshake_message(data: bytes) -> bytes | None:
    """Join the record payloads of the first handshake message; None while bytes are missing."""
    message = bytearray()
    wanted_bytes: int | None = None
    position = 0
    while wanted_bytes is None or len(message) < wanted_bytes:
        header = data[position : position + 5]
        if header and header[0] != _RECORD_HANDSHAKE:
            raise HelloError(f"expected a TLS handshake record (type 22), got type {header[0]}")
        if len(header) > 1 and header[1] != 3:
            raise HelloError(f"expected TLS record version 3.x, got {header[1]}.x")
        if len(header) < 5:
            return None
        size_bytes = int.from_bytes(header[3:5], "big")
        if not 0 < size_bytes <= _MAX_RECORD_BYTES:
            raise HelloError(f"a TLS record announces {size_bytes} bytes; 1 to {_MAX_RECORD_BYTES} are allowed")
        message += data[position + 5 : position + 5 + size_bytes]
        if message and message[0] != _HANDSHAKE_CLIENT_HELLO:
            raise HelloError(f"expected a ClientHello (type 1), got handshake type {message[0]}")
        if wanted_bytes is None and len(message) >= 4:
            wanted_bytes = 4 + int.from_bytes(message[1:4], "big")
            if wanted_bytes > MAX_HELLO_BYTES:
                raise HelloError(f"the ClientHello announces {wanted_bytes} bytes; {MAX_HELLO_BYTES} are allowed")
        position += 5 + size_bytes
        if position > len(data) and (wanted_bytes is None or len(message) < wanted_bytes):
            return None
    return bytes(message[4:wanted_bytes])


class _Cursor:
    """Takes bytes from the front; every shortage is a HelloError."""

    __slots__ = ("_data", "_position")

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._position = 0

    def take(self, size_bytes: int) -> bytes:
        end = self._position + size_bytes
        if end > len(self._data):
            raise HelloError("a length in the ClientHello points beyond its end")
        piece = self._data[self._position : end]
        self._position = end
        return piece

    def take_number(self, size_bytes: int) -> int:
        return int.from_bytes(self.take(size_bytes), "big")

    def take_vector(self, length_bytes: int) -> _Cursor:
        """Take a vector whose length stands in front of it in ``length_bytes`` bytes."""
        return _Cursor(self.take(self.take_number(length_bytes)))

    def rest(self) -> bytes:
        return self.take(len(self._data) - self._position)

    def __bool__(self) -> bool:
        return self._position < len(self._data)


def _parse_body(body: _Cursor) -> ClientHello:
    body.take(2 + 32)  # legacy_version, random
    body.take_vector(1)  # legacy_session_id
    body.take_vector(2)  # cipher_suites
    body.take_vector(1)  # legacy_compression_methods
    server_name: str | None = None
    protocols: tuple[str, ...] = ()
    seen: set[int] = set()
    extensions = body.take_vector(2) if body else _Cursor(b"")
    if body:
        raise HelloError("bytes follow the ClientHello's extensions")
    while extensions:
        kind = extensions.take_number(2)
        content = extensions.take_vector(2)
        if kind in seen:
            raise HelloError(f"the ClientHello holds extension {kind} twice")
        seen.add(kind)
        if kind == _EXTENSION_SERVER_NAME:
            server_name = _parse_server_name(content)
        elif kind == _EXTENSION_ALPN:
            protocols = _parse_protocols(content)
    return ClientHello(server_name, protocols)


def _parse_server_name(content: _Cursor) -> str | None:
    names = content.take_vector(2)
    while names:
        kind = names.take_number(1)
        name = names.take_vector(2).rest()
        if kind == 0:
            return _ascii(name, "the server name")
    return None


def _parse_protocols(content: _Cursor) -> tuple[str, ...]:
    protocols: list[str] = []
    names = content.take_vector(2)
    while names:
        # Browsers send GREASE names (RFC 8701) that are no text: they can match nothing of ours.
        protocols.append(names.take_vector(1).rest().decode("latin-1"))
    return tuple(protocols)


def _ascii(raw: bytes, what: str) -> str:
    try:
        return raw.decode("ascii")
    except UnicodeDecodeError:
        raise HelloError(f"{what} in the ClientHello is not ASCII") from None

"""What is read of a certificate: its serial number and its P-256 key. Parses what strangers present. No I/O.

Written out here, because the library that makes keys and certificates costs a process 9 MiB, and a gateway that runs
makes none. Nothing is judged here: whether a certificate is the right one is for TLS and the pin.
The layout is X.509 v1 to v3 (RFC 5280, 4.1) in DER; lengths are taken in their shortest form only.
"""

from __future__ import annotations

import hashlib
from typing import Final, Protocol

from .exceptions import ProtocolError

MAX_CERTIFICATE_BYTES: Final = 64 * 1024
_INTEGER, _SEQUENCE, _VERSION = 0x02, 0x30, 0xA0
_P256_KEY: Final = bytes.fromhex("3059301306072a8648ce3d020106082a8648ce3d030107034200") + b"\x04"
"""SubjectPublicKeyInfo of a P-256 key (RFC 5480), up to its 64 bytes: a point that is not compressed."""
_P256_KEY_BYTES: Final = len(_P256_KEY) + 64


class Credentials(Protocol):
    """A certificate with its private key, as a party presents them."""

    @property
    def certificate(self) -> bytes:
        """The certificate (DER)."""

    @property
    def pem(self) -> bytes:
        """Key (PKCS#8, not encrypted) and certificate as PEM: what OpenSSL takes."""


def key_sha256(certificate: bytes) -> bytes:
    """Return the SHA-256 of a certificate's public key (SubjectPublicKeyInfo, DER).

    Raises ProtocolError if the certificate cannot be read or its key is not P-256.
    """
    _, key = _serial_and_key(certificate)
    if len(key) != _P256_KEY_BYTES or not key.startswith(_P256_KEY):
        raise ProtocolError("expected a certificate with a P-256 key, got another kind of key")
    return hashlib.sha256(key).digest()


def serial_text(certificate: bytes) -> str:
    """Return the serial number as people read it: hexadecimal, in groups of four. Raises ProtocolError."""
    serial, _ = _serial_and_key(certificate)
    digits = f"{serial:X}"
    digits = digits.zfill(-(-len(digits) // 4) * 4)
    return "-".join(digits[start : start + 4] for start in range(0, len(digits), 4))


def certificate_sha256(certificate: bytes) -> bytes:
    """Return the SHA-256 of the whole certificate: by this the GM finds whose it is."""
    return hashlib.sha256(certificate).digest()


def fingerprint_text(digest: bytes) -> str:
    """Return the first 16 bytes of a SHA-256 as people read it: hexadecimal in groups of four."""
    digits = digest[:16].hex()
    return " ".join(digits[start : start + 4] for start in range(0, len(digits), 4))


def _serial_and_key(certificate: bytes) -> tuple[int, bytes]:
    """Return the serial number and the whole SubjectPublicKeyInfo."""
    try:
        if len(certificate) > MAX_CERTIFICATE_BYTES:
            raise _unreadable()
        start, end = _expect(_SEQUENCE, certificate, 0, len(certificate))
        if end != len(certificate):
            raise _unreadable()
        at, end = _expect(_SEQUENCE, certificate, start, end)
        if certificate[at] == _VERSION:
            _, at = _expect(_VERSION, certificate, at, end)
        start, at = _expect(_INTEGER, certificate, at, end)
        serial = int.from_bytes(certificate[start:at], "big", signed=True)
        if serial < 0 or start == at:
            raise _unreadable()
        for _ in ("signature algorithm", "issuer", "validity", "subject"):
            _, at = _expect(_SEQUENCE, certificate, at, end)
        _, after = _expect(_SEQUENCE, certificate, at, end)
    except IndexError:
        raise _unreadable() from None
    return serial, certificate[at:after]


def _expect(tag: int, data: bytes, at: int, end: int) -> tuple[int, int]:
    """Return where the content of the element at ``at`` begins and ends; its tag has to be ``tag``."""
    if at + 2 > end or data[at] != tag:
        raise _unreadable()
    length, start = data[at + 1], at + 2
    if length >= 0x80:
        size = length - 0x80
        if not 1 <= size <= 3:
            raise _unreadable()
        length = int.from_bytes(data[start : start + size], "big")
        if length < 0x80 or length < 1 << 8 * (size - 1):
            raise _unreadable()
        start += size
    if start + length > end:
        raise _unreadable()
    return start, start + length


def _unreadable() -> ProtocolError:
    return ProtocolError("expected a certificate (X.509, DER), got something else")

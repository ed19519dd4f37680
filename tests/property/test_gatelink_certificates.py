"""The reader of certificates says what a full library says, and nothing that strangers send makes it fall over."""

from __future__ import annotations

import datetime
import hashlib

import pytest
from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.utils import CryptographyDeprecationWarning
from hypothesis import given
from hypothesis import strategies as st

from gatelink import identity
from gatelink.certificates import key_sha256, serial_text
from gatelink.exceptions import ProtocolError

NOW = datetime.datetime(2026, 11, 1, tzinfo=datetime.UTC)
GM = identity.self_signed("gm", NOW, 3650, ca=True)
ISSUED = identity.issue(identity.make_request(identity.new_key()), GM, "sm-1", NOW, 365)
SAMPLES = (GM.certificate, ISSUED)


def by_the_library(certificate: bytes) -> tuple[int, bytes] | None:
    """Serial number and key; None if it cannot be read."""
    try:
        parsed = x509.load_der_x509_certificate(certificate)
        key = parsed.public_key()
    except (ValueError, UnsupportedAlgorithm, x509.InvalidVersion, CryptographyDeprecationWarning):
        return None  # the last: a serial number that is not positive, which it reads no more one day
    spki = key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    return parsed.serial_number, hashlib.sha256(spki).digest()


def by_us(certificate: bytes) -> tuple[int, bytes] | None:
    try:
        return int(serial_text(certificate).replace("-", ""), 16), key_sha256(certificate)
    except ProtocolError:
        return None


def with_key(key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey, serial: int) -> bytes:
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "n")])
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    builder = builder.serial_number(serial).not_valid_before(NOW).not_valid_after(NOW + datetime.timedelta(days=1))
    return builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.DER)


@given(serial=st.integers(1, (1 << 159) - 1))
def test_serial_and_key_are_those_of_the_library_when_a_certificate_is_good(serial: int) -> None:
    certificate = with_key(GM.key, serial)
    assert by_us(certificate) == by_the_library(certificate)
    assert by_us(certificate) is not None


@given(sample=st.sampled_from(SAMPLES), at=st.integers(0, 2000), change=st.integers(1, 255), cut=st.integers(0, 2000))
def test_nothing_else_is_read_than_by_the_library_when_a_certificate_is_damaged(
    sample: bytes, at: int, change: int, cut: int
) -> None:
    damaged = bytearray(sample)
    damaged[at % len(sample)] ^= change
    for data in (bytes(damaged), sample[: cut % len(sample)], sample + bytes(damaged[: cut % 7 + 1])):
        ours, theirs = by_us(data), by_the_library(data)
        assert ours is None or theirs is None or ours == theirs


@given(data=st.binary(max_size=200))
def test_reader_refuses_in_one_way_when_it_is_given_anything(data: bytes) -> None:
    for read in (key_sha256, serial_text):
        with pytest.raises(ProtocolError, match="expected a certificate"):
            read(data)


def test_key_is_refused_when_it_is_of_another_kind() -> None:
    for key in (ec.generate_private_key(ec.SECP384R1()), rsa.generate_private_key(65537, 2048)):
        certificate = with_key(key, 7)
        assert serial_text(certificate) == "0007"
        with pytest.raises(ProtocolError, match="P-256"):
            key_sha256(certificate)

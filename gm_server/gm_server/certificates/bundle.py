"""A private key with its certificate chain, as PEM: any kind of key that browsers accept."""

from __future__ import annotations

import datetime
import ssl
from pathlib import Path

import msgspec
from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key

from gatelink.exceptions import InputError


class Bundle(msgspec.Struct, frozen=True):
    """What a bundle says."""

    certificate: bytes
    """The server's own, DER."""
    not_before: float
    not_after: float
    names: tuple[str, ...]
    issuer: str


def parse_bundle(pem: bytes) -> Bundle:
    """Return what is in it; raises InputError unless it is a key with its own certificate first."""
    try:
        key = load_pem_private_key(pem, None)
        chain = x509.load_pem_x509_certificates(pem)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise InputError("expected a private key without a passphrase and its certificate, both as PEM") from None
    own = chain[0]
    form = (Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    if key.public_key().public_bytes(*form) != own.public_key().public_bytes(*form):
        raise InputError("the private key is not the one of the first certificate")
    try:
        found = own.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        names = tuple(found.get_values_for_type(x509.DNSName))
    except x509.ExtensionNotFound:
        names = ()
    return Bundle(
        own.public_bytes(Encoding.DER),
        own.not_valid_before_utc.timestamp(),
        own.not_valid_after_utc.timestamp(),
        names,
        own.issuer.rfc4514_string(),
    )


def read_files(certificate_file: str, key_file: str) -> bytes:
    """Return the bundle in an owner's files, checked; raises InputError."""
    try:
        pem = Path(key_file).read_bytes() + b"\n" + Path(certificate_file).read_bytes()
    except OSError as error:
        raise InputError(f"cannot read {error.filename}: {error.strerror}") from None
    bundle = parse_bundle(pem)
    if bundle.not_after <= datetime.datetime.now(datetime.UTC).timestamp():
        raise InputError(f"the certificate in {certificate_file} is over")
    return pem


def load_into(context: ssl.SSLContext, path: Path) -> None:
    """Let a TLS context present the bundle in a file; raises InputError."""
    try:
        parse_bundle(path.read_bytes())
        context.load_cert_chain(path)
    except OSError as error:
        # An SSLError is an OSError.
        reason = getattr(error, "reason", None) or error.strerror or error
        raise InputError(f"cannot use {path}: {reason}; restore it from a backup") from None
    except InputError as error:
        raise InputError(f"{path}: {error}; restore it from a backup") from None

"""Keys and certificates: P-256, X.509, made and read in memory. No I/O.

The certificate authority puts its own names into certificates; what a request says of itself is ignored (LESSONS 6).
Serial numbers are 80 random bits: unique, and short enough for people to compare.
"""

from __future__ import annotations

import datetime
import hashlib
import secrets
from typing import Final

import msgspec
from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import pkcs12
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from .certificates import certificate_sha256, fingerprint_text, key_sha256, serial_text
from .exceptions import InputError, ProtocolError

__all__ = [
    "Identity",
    "PrivateKey",
    "certificate_sha256",
    "fingerprint_text",
    "from_pem",
    "from_pkcs12",
    "is_signed_by",
    "issue",
    "key_from_pem",
    "key_sha256",
    "key_to_pem",
    "load_certificate",
    "make_request",
    "new_key",
    "own_key_sha256",
    "public_key_of",
    "request_key_sha256",
    "self_signed",
    "serial_text",
    "sign",
    "to_pem",
    "to_pkcs12",
]

PrivateKey = ec.EllipticCurvePrivateKey
SERIAL_BITS: Final = 80
PKCS12_ROUNDS: Final = 600_000
"""PBKDF2-HMAC-SHA256; OWASP Password Storage Cheat Sheet, 2023."""
_CLOCK_SKEW: Final = datetime.timedelta(days=1)


class Identity(msgspec.Struct, frozen=True):
    """A certificate (DER) with its private key."""

    certificate: bytes
    key: PrivateKey

    @property
    def serial(self) -> str:
        """The certificate's serial number as people read it."""
        return serial_text(self.certificate)

    @property
    def pem(self) -> bytes:
        """Key (PKCS#8, not encrypted) and certificate as PEM."""
        return to_pem(self)


def new_key() -> PrivateKey:
    """Make a P-256 key."""
    return ec.generate_private_key(ec.SECP256R1())


def self_signed(common_name: str, now: datetime.datetime, lifetime_days: int, *, ca: bool = False) -> Identity:
    """Make a key and a self-signed certificate; ``ca`` makes it an authority for end certificates."""
    key = new_key()
    name = _name(common_name)
    builder = _builder(name, name, key.public_key(), now, lifetime_days)
    builder = builder.add_extension(x509.BasicConstraints(ca=ca, path_length=0 if ca else None), critical=True)
    builder = builder.add_extension(_key_usage(ca=ca), critical=True)
    return Identity(_der(builder.sign(key, hashes.SHA256())), key)


def make_request(key: PrivateKey) -> bytes:
    """Return a certificate request (PKCS#10, DER) with an empty name: names are the GateManager's to give."""
    builder = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([]))
    return builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.DER)


def issue(request: bytes, authority: Identity, common_name: str, now: datetime.datetime, lifetime_days: int) -> bytes:
    """Return the certificate (DER) for a request: its key, our name, client and server use.

    Raises ProtocolError if the request is malformed, not signed by its own key, or its key is not P-256.
    """
    public_key = _request_key(request)
    issuer = x509.load_der_x509_certificate(authority.certificate).subject
    builder = _builder(_name(common_name), issuer, public_key, now, lifetime_days)
    builder = builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
    builder = builder.add_extension(_key_usage(ca=False), critical=True)
    uses = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.SERVER_AUTH])
    builder = builder.add_extension(uses, critical=False)
    return _der(builder.sign(authority.key, hashes.SHA256()))


def request_key_sha256(request: bytes) -> bytes:
    """Return the SHA-256 of a request's public key (SubjectPublicKeyInfo); raises ProtocolError as ``issue``."""
    return _spki_sha256(_request_key(request))


def own_key_sha256(key: PrivateKey) -> bytes:
    """Return the SHA-256 of the public half of ``key``."""
    return _spki_sha256(key.public_key())


def sign(identity: Identity, data: bytes) -> bytes:
    """Return a signature (ECDSA, SHA-256) with the identity's key."""
    return identity.key.sign(data, ec.ECDSA(hashes.SHA256()))


def is_signed_by(certificate: bytes, signature: bytes, data: bytes) -> bool:
    """Whether a certificate's key made a signature. Raises ProtocolError if the certificate has no P-256 key."""
    try:
        public_key_of(certificate).verify(signature, data, ec.ECDSA(hashes.SHA256()))
    except InvalidSignature:
        return False
    return True


def public_key_of(certificate: bytes) -> ec.EllipticCurvePublicKey:
    """Return a certificate's P-256 key; raises ProtocolError if it has none."""
    key = load_certificate(certificate).public_key()
    if not isinstance(key, ec.EllipticCurvePublicKey) or key.curve.name != "secp256r1":
        raise ProtocolError("expected a certificate with a P-256 key, got another kind of key")
    return key


def load_certificate(certificate: bytes) -> x509.Certificate:
    """Parse a certificate (DER); raises ProtocolError if it cannot be read."""
    try:
        return x509.load_der_x509_certificate(certificate)
    except (ValueError, UnsupportedAlgorithm):
        raise ProtocolError("expected a certificate (X.509, DER), got something else") from None


def to_pkcs12(identity: Identity, name: str, password: str) -> bytes:
    """Return a password-protected PKCS#12 file (AES-256, PBKDF2 with ``PKCS12_ROUNDS``)."""
    protection = (
        serialization.PrivateFormat.PKCS12.encryption_builder()
        .kdf_rounds(PKCS12_ROUNDS)
        .key_cert_algorithm(pkcs12.PBES.PBESv2SHA256AndAES256CBC)
        .hmac_hash(hashes.SHA256())
        .build(password.encode())
    )
    certificate = x509.load_der_x509_certificate(identity.certificate)
    return pkcs12.serialize_key_and_certificates(name.encode(), identity.key, certificate, None, protection)


def from_pkcs12(data: bytes, password: str) -> Identity:
    """Open a PKCS#12 file; raises InputError for a wrong password, a damaged file or a key that is not P-256."""
    try:
        key, certificate, _ = pkcs12.load_key_and_certificates(data, password.encode())
    except (ValueError, UnsupportedAlgorithm):
        raise InputError("the password is wrong, or the certificate file is damaged") from None
    if not isinstance(key, PrivateKey) or certificate is None:
        raise InputError("the certificate file holds no P-256 key with its certificate; ask for a new one")
    return Identity(_der(certificate), key)


def to_pem(identity: Identity) -> bytes:
    """Return key (PKCS#8, not encrypted) and certificate as PEM."""
    certificate = x509.load_der_x509_certificate(identity.certificate)
    return key_to_pem(identity.key) + certificate.public_bytes(serialization.Encoding.PEM)


def from_pem(data: bytes) -> Identity:
    """Read what ``to_pem`` wrote; raises InputError if it is damaged."""
    try:
        key = serialization.load_pem_private_key(data, None)
        certificate = x509.load_pem_x509_certificate(data)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise InputError("expected a private key and its certificate (PEM), the file holds something else") from None
    if not isinstance(key, PrivateKey):
        raise InputError("expected a P-256 key, the file holds another kind of key")
    return Identity(_der(certificate), key)


def key_to_pem(key: PrivateKey) -> bytes:
    """Return a key alone as PEM (PKCS#8, not encrypted)."""
    plain = serialization.NoEncryption()
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, plain)


def key_from_pem(data: bytes) -> PrivateKey:
    """Read what ``key_to_pem`` wrote; raises InputError if it is damaged."""
    try:
        key = serialization.load_pem_private_key(data, None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise InputError("expected a private key (PEM), the file holds something else") from None
    if not isinstance(key, PrivateKey):
        raise InputError("expected a P-256 key, the file holds another kind of key")
    return key


def _request_key(request: bytes) -> ec.EllipticCurvePublicKey:
    try:
        parsed = x509.load_der_x509_csr(request)
        key = parsed.public_key()
        valid = parsed.is_signature_valid
    except (ValueError, UnsupportedAlgorithm):
        raise ProtocolError("expected a certificate request (PKCS#10, DER), got something else") from None
    if not isinstance(key, ec.EllipticCurvePublicKey) or key.curve.name != "secp256r1":
        raise ProtocolError("expected a certificate request for a P-256 key, got another kind of key")
    if not valid:
        raise ProtocolError("the certificate request is not signed by its own key")
    return key


def _builder(
    subject: x509.Name,
    issuer: x509.Name,
    key: ec.EllipticCurvePublicKey,
    now: datetime.datetime,
    lifetime_days: int,
) -> x509.CertificateBuilder:
    serial_number = secrets.randbits(SERIAL_BITS - 1) | 1 << (SERIAL_BITS - 1)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(serial_number)
        .not_valid_before(now - _CLOCK_SKEW)
        .not_valid_after(now + datetime.timedelta(days=lifetime_days))
    )


def _key_usage(*, ca: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=ca,
        crl_sign=ca,
        encipher_only=False,
        decipher_only=False,
    )


def _name(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name[:64])])


def _der(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.DER)


def _spki_sha256(key: ec.EllipticCurvePublicKey) -> bytes:
    spki = key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    return hashlib.sha256(spki).digest()

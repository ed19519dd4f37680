"""What an authority asks to see at the front door, while it asks. Filled by one thread, read by the event loop."""

from __future__ import annotations

import datetime
import hashlib
import ssl
import tempfile
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding

from gatelink.identity import key_to_pem, new_key

ALPN: Final = "acme-tls/1"
PATH: Final = "/.well-known/acme-challenge/"
_IDENTIFIER: Final = x509.ObjectIdentifier("1.3.6.1.5.5.7.1.31")
"""id-pe-acmeIdentifier (RFC 8737, section 3)."""

_SKEW: Final = datetime.timedelta(days=1)


class Challenges:
    """Open challenges: answers for plain HTTP by token, TLS contexts by host name."""

    def __init__(self) -> None:
        self._answers: dict[str, str] = {}
        self._contexts: dict[str, ssl.SSLContext] = {}

    def answer(self, target: str) -> str | None:
        """Return what stands at a path (http-01, RFC 8555 section 8.3); None if nothing does."""
        return self._answers.get(target.removeprefix(PATH)) if target.startswith(PATH) else None

    def context(self, server_name: str | None) -> ssl.SSLContext | None:
        """Return the context for a connection with the protocol ``acme-tls/1``; None if none is open."""
        return self._contexts.get((server_name or "").lower())

    def put_http(self, token: str, authorization: str) -> None:
        """Open an http-01 challenge."""
        self._answers = {**self._answers, token: authorization}

    def put_tls(self, name: str, authorization: str) -> None:
        """Open a tls-alpn-01 challenge (RFC 8737)."""
        self._contexts = {**self._contexts, name.lower(): _context(name, authorization)}

    def clear(self) -> None:
        """Close all of them."""
        self._answers, self._contexts = {}, {}


def _context(name: str, authorization: str) -> ssl.SSLContext:
    digest = hashlib.sha256(authorization.encode()).digest()
    # The DER of an OCTET STRING of 32 bytes.
    proof = x509.UnrecognizedExtension(_IDENTIFIER, b"\x04\x20" + digest)
    key = new_key()
    now = datetime.datetime.now(datetime.UTC)
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "challenge")])
    builder = x509.CertificateBuilder().subject_name(subject).issuer_name(subject).public_key(key.public_key())
    builder = builder.serial_number(x509.random_serial_number())
    builder = builder.not_valid_before(now - _SKEW).not_valid_after(now + _SKEW)
    builder = builder.add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
    certificate = builder.add_extension(proof, critical=True).sign(key, hashes.SHA256())
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.set_alpn_protocols([ALPN])
    with tempfile.NamedTemporaryFile() as file:
        file.write(key_to_pem(key) + certificate.public_bytes(Encoding.PEM))
        file.flush()
        context.load_cert_chain(file.name)
    return context

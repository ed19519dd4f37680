"""The set-up page's own certificate for HTTPS: made on the unit, signed by itself, known to nobody.

A browser warns once; whoever is in doubt compares the fingerprint with what the unit's console says
(``sm secret``). It is apart from the unit's key: what the page's process holds opens nothing else.
"""

from __future__ import annotations

import datetime
import hashlib
import ipaddress
import ssl
from pathlib import Path
from typing import Final

from gatelink.files import write_atomically
from sitemanager.exceptions import StateError

FILE_NAME: Final = "page.pem"
_USUAL_ADDRESS: Final = "10.0.0.1"
_FROM: Final = datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC)
_UNTIL: Final = datetime.datetime(2049, 12, 31, tzinfo=datetime.UTC)
"""Fixed dates: the unit's clock may be years off when it is made."""


def page_certificate(state: Path) -> str:
    """Return key and certificate as PEM; made at the first call. Raises StateError."""
    path = state / FILE_NAME
    try:
        return path.read_text("ascii")
    except FileNotFoundError:
        pem = _new()
        try:
            write_atomically(path, pem.encode())
        except OSError as error:
            raise StateError(f"cannot write {path}: {error.strerror}") from None
        return pem
    except (OSError, UnicodeDecodeError):
        raise StateError(f"cannot read {path}; delete it, it is made anew") from None


def fingerprint(pem: str) -> str:
    """Return the certificate's SHA-256 as browsers show it. Raises StateError."""
    try:
        certificate = ssl.PEM_cert_to_DER_cert(pem[pem.index(ssl.PEM_HEADER) :])
    except ValueError:
        raise StateError(f"{FILE_NAME} in the state directory is damaged; delete it, it is made anew") from None
    digest = hashlib.sha256(certificate).hexdigest().upper()
    return ":".join(digest[start : start + 2] for start in range(0, len(digest), 2))


def _new() -> str:
    from cryptography import x509  # late: see ``gatelink.certificates``
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Gatelink SiteManager")])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(_FROM)
        .not_valid_after(_UNTIL)
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.IPv4Address(_USUAL_ADDRESS))]), False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return (private + certificate.public_bytes(serialization.Encoding.PEM)).decode("ascii")

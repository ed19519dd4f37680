"""Throw-away certificates for the tunnels that are measured."""

from __future__ import annotations

import datetime
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID


@dataclass(frozen=True, slots=True)
class Files:
    """A CA certificate, and one file with key and certificate for each end."""

    ca: Path
    server: Path
    client: Path


def make(directory: Path) -> Files:
    """Write a CA and two certificates, P-256 all, valid for a month."""
    ca_key, ca = _certificate("bench CA", None, None, None)
    files = Files(directory / "ca.pem", directory / "server.pem", directory / "client.pem")
    files.ca.write_bytes(ca.public_bytes(serialization.Encoding.PEM))
    usages = ((files.server, ExtendedKeyUsageOID.SERVER_AUTH), (files.client, ExtendedKeyUsageOID.CLIENT_AUTH))
    for path, usage in usages:
        key, certificate = _certificate(path.stem, ca, ca_key, usage)
        path.touch(mode=0o600)
        path.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
            + certificate.public_bytes(serialization.Encoding.PEM)
        )
    return files


def _certificate(
    name: str,
    issuer: x509.Certificate | None,
    issuer_key: ec.EllipticCurvePrivateKey | None,
    usage: x509.ObjectIdentifier | None,
) -> tuple[ec.EllipticCurvePrivateKey, x509.Certificate]:
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.datetime.now(datetime.UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer.subject if issuer else subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=30))
        .add_extension(x509.BasicConstraints(ca=issuer is None, path_length=None), critical=True)
    )
    if usage is not None:
        builder = builder.add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
    return key, builder.sign(issuer_key or key, hashes.SHA256())

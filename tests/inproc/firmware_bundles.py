"""RAUC bundles in verity format as far as a GateManager looks at them: a payload, a CMS signature with the manifest."""

from __future__ import annotations

import datetime
import functools
import random
from pathlib import Path

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import pkcs7
from cryptography.x509 import Certificate, load_der_x509_certificate
from sqlalchemy.orm import Session

from gatelink.identity import Identity, self_signed
from gm_server.access.actors import Actor
from gm_server.acts.firmware import BundleView, add_bundle
from gm_server.appliances.bundle_files import BundleFiles
from inproc.gm_running import RunningGm

BOARD = "gatelink-test-board"


@functools.cache
def _signer() -> tuple[Certificate, ec.EllipticCurvePrivateKey]:
    identity: Identity = self_signed("signer", datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC), 30)
    assert isinstance(identity.key, ec.EllipticCurvePrivateKey)
    return load_der_x509_certificate(identity.certificate), identity.key


def signed(manifest: bytes, *, detached: bool = False) -> bytes:
    """A CMS signature of a manifest."""
    certificate, key = _signer()
    options = [pkcs7.PKCS7Options.Binary]
    if detached:
        options.append(pkcs7.PKCS7Options.DetachedSignature)
    builder = pkcs7.PKCS7SignatureBuilder().set_data(manifest).add_signer(certificate, key, hashes.SHA256())
    return builder.sign(serialization.Encoding.DER, options)


def manifest_of(version: str, board: str = BOARD, kind: str = "verity") -> bytes:
    return (
        f"[update]\ncompatible={board}\nversion={version}\n\n[bundle]\nformat={kind}\nverity-hash=00\n\n"
        "[image.rootfs]\nfilename=rootfs.img\n"
    ).encode()


@functools.cache
def bundle_bytes(version: str, board: str = BOARD, payload_bytes: int = 100_000) -> bytes:
    """A whole bundle, the same one for the same arguments."""
    payload = b"hsqs" + random.Random(version).randbytes(payload_bytes)
    signature = signed(manifest_of(version, board))
    return payload + signature + len(signature).to_bytes(8, "big")


def keep_bundle(gm: RunningGm, by: Actor, version: str, domain: str = "", payload_bytes: int = 100_000) -> BundleView:
    """Put a bundle onto a server as the command line does."""
    return gm.write(keep, gm.directory.path, by, version, domain, gm.clock(), payload_bytes)


def keep(
    session: Session, directory: Path, by: Actor, version: str, domain: str, now: float, payload_bytes: int = 100_000
) -> BundleView:
    """The same within a transaction."""
    files = BundleFiles(directory)
    incoming = files.begin()
    try:
        incoming.write(bundle_bytes(version, payload_bytes=payload_bytes))
        return add_bundle(session, by, files, incoming.finish(), domain, now)
    finally:
        incoming.discard()

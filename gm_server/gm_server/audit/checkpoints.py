"""Checkpoints: the appliance key signs the hash of the newest entry, and so of every entry before it.

    signature = ECDSA P-256 with SHA-256, DER, over  "gatelink audit checkpoint/1\\0" + u64 number + f64 at + hash

The chain alone shows a careless change; whoever rewrites all of it from somewhere on cannot sign it again.
"""

from __future__ import annotations

import struct
from typing import Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from sqlalchemy import select
from sqlalchemy.orm import Session

from gatelink.exceptions import ProtocolError
from gatelink.identity import Identity, key_sha256, public_key_of
from gm_server.database.tables import AuditCheckpoint

from .reading import head

_CONTEXT: Final = b"gatelink audit checkpoint/1\0"


def make_checkpoint(session: Session, identity: Identity, now: float) -> bool:
    """Sign the newest entry; False if there is none, or it is signed by this key already."""
    newest = head(session)
    if newest is None:
        return False
    number, digest = newest
    signer = key_sha256(identity.certificate)
    before = session.get(AuditCheckpoint, number)
    if before is not None:
        if before.key_sha256 == signer:
            return False
        session.delete(before)
        session.flush()
    session.add(
        AuditCheckpoint(
            number=number, at=now, hash=digest, key_sha256=signer, signature=sign(identity, number, now, digest)
        )
    )
    session.flush()
    return True


def last_checkpoint(session: Session) -> AuditCheckpoint | None:
    """Return the newest checkpoint."""
    return session.scalars(select(AuditCheckpoint).order_by(AuditCheckpoint.number.desc()).limit(1)).first()


def missing_behind(session: Session) -> str:
    """Say what is missing if a checkpoint covers entries that are not there any more, else nothing."""
    checkpoint, newest = last_checkpoint(session), head(session)
    if checkpoint is None or (newest is not None and newest[0] >= checkpoint.number):
        return ""
    return (
        f"the audit log ends at entry {newest[0] if newest else 0}, but entry {checkpoint.number} was signed: "
        "entries were removed"
    )


def sign(identity: Identity, number: int, at: float, digest: bytes) -> bytes:
    """Return the signature of a checkpoint."""
    return identity.key.sign(_signed(number, at, digest), ec.ECDSA(hashes.SHA256()))


def is_signed(certificate: bytes, number: int, at: float, digest: bytes, signature: bytes) -> bool:
    """Whether the certificate's key made this signature."""
    try:
        public_key_of(certificate).verify(signature, _signed(number, at, digest), ec.ECDSA(hashes.SHA256()))
    except (InvalidSignature, ProtocolError):
        return False
    return True


def _signed(number: int, at: float, digest: bytes) -> bytes:
    return _CONTEXT + struct.pack(">Qd", number, at) + digest

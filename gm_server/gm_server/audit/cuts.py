"""Cuts: where the log begins after its older part was written to a file of its own and taken out of the database.

    signature = ECDSA P-256 with SHA-256, DER, over  "gatelink audit cut/1\\0" + u64 number + f64 at + hash

Signed apart from checkpoints: with one of those alone, whoever can write the database but has no key could say of any
signed entry that the log begins behind it. What is below a cut but still there was not swept away yet; nobody reads it.
"""

from __future__ import annotations

import struct
from typing import Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from sqlalchemy import delete, func, select
from sqlalchemy.orm import Session

from gatelink.exceptions import ProtocolError
from gatelink.identity import Identity, key_sha256, public_key_of
from gm_server.database.tables import AuditCheckpoint, AuditCut, AuditEntry

SWEPT_AT_ONCE: Final = 5000
"""Entries that one transaction takes out: the running server writes in between."""
_CONTEXT: Final = b"gatelink audit cut/1\0"


def last_cut(session: Session) -> AuditCut | None:
    """Return where the log begins; None: with its first entry."""
    return session.scalars(select(AuditCut).order_by(AuditCut.number.desc()).limit(1)).first()


def beginning(session: Session) -> int:
    """Return the number behind which the log begins."""
    return session.scalar(select(func.max(AuditCut.number))) or 0


def find_end(session: Session, before: float) -> AuditEntry | None:
    """Return the last entry that a cut at that time (Unix) takes out; None if there is nothing.

    The numbers decide, not the clocks: it is the entry in front of the first that is not older.
    """
    begin = beginning(session)
    first_kept = session.scalar(
        select(func.min(AuditEntry.number)).where(AuditEntry.number > begin, AuditEntry.at >= before)
    )
    query = select(AuditEntry).where(AuditEntry.number > begin).order_by(AuditEntry.number.desc()).limit(1)
    if first_kept is not None:
        query = query.where(AuditEntry.number < first_kept)
    return session.scalars(query).first()


def add_cut(session: Session, identity: Identity, number: int, digest: bytes, now: float) -> None:
    """Let the log begin behind an entry. Its older part must lie safely in a file by then."""
    signer, signature = key_sha256(identity.certificate), sign_cut(identity, number, now, digest)
    session.add(AuditCut(number=number, at=now, hash=digest, key_sha256=signer, signature=signature))
    session.flush()


def sweep(session: Session) -> bool:
    """Take some of what lies below the cut out of the database; whether there may be more."""
    begin = beginning(session)
    numbers = list(
        session.scalars(
            select(AuditEntry.number).where(AuditEntry.number <= begin).order_by(AuditEntry.number).limit(SWEPT_AT_ONCE)
        )
    )
    if numbers:
        session.execute(delete(AuditEntry).where(AuditEntry.number <= numbers[-1]))
    session.execute(delete(AuditCheckpoint).where(AuditCheckpoint.number <= (numbers[-1] if numbers else begin)))
    return len(numbers) == SWEPT_AT_ONCE


def sign_again(session: Session, old: Identity, new: Identity) -> None:
    """Sign the cut with the key that follows; a cut that the old key did not sign is left as it is."""
    cut = last_cut(session)
    if cut is not None and is_cut_signed(old.certificate, cut.number, cut.at, cut.hash, cut.signature):
        cut.signature = sign_cut(new, cut.number, cut.at, cut.hash)
        cut.key_sha256 = key_sha256(new.certificate)
        session.flush()


def missing_at_the_beginning(session: Session) -> str:
    """Say what is missing between the cut, or the first entry there ever was, and the first entry; else nothing."""
    begin = beginning(session)
    first = session.scalar(select(func.min(AuditEntry.number)).where(AuditEntry.number > begin))
    if first is None or first == begin + 1:
        return ""
    return f"the audit log begins with entry {first}, and {begin + 1} was expected: entries were removed"


def sign_cut(identity: Identity, number: int, at: float, digest: bytes) -> bytes:
    """Return the signature of a cut."""
    return identity.key.sign(_signed(number, at, digest), ec.ECDSA(hashes.SHA256()))


def is_cut_signed(certificate: bytes, number: int, at: float, digest: bytes, signature: bytes) -> bool:
    """Whether the certificate's key made this signature."""
    try:
        public_key_of(certificate).verify(signature, _signed(number, at, digest), ec.ECDSA(hashes.SHA256()))
    except (InvalidSignature, ProtocolError):
        return False
    return True


def _signed(number: int, at: float, digest: bytes) -> bytes:
    return _CONTEXT + struct.pack(">Qd", number, at) + digest

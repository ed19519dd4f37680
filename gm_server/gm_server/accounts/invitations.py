"""Invitations that are opened in a browser, and links by which a forgotten password is replaced.

It is the same invitation that a LinkManager takes: who uses it here or there has used it up.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from typing import Final

import msgspec
from sqlalchemy import select, update
from sqlalchemy.orm import Session

from gatelink.exceptions import Refused
from gatelink.proofs import proof_key
from gm_server.database.tables import Claim, Domain, User

from .people import person_by_id
from .seals import SEAL_BYTES, Seals

RESET_S: Final = 3600.0
_USED_UP: Final = "this link is used, expired or damaged: ask for a new one"


class Invited(msgspec.Struct, frozen=True):
    """Whose invitation a link is."""

    claim_id: str
    user_id: str
    user: str
    domain: str
    is_first: bool
    """He has had no password yet."""


def find_invitation(session: Session, claim_id: str, secret: bytes, now: float) -> Invited:
    """Return whose invitation this is; raises Refused."""
    claim = session.get(Claim, claim_id)
    expected = claim.proof_key if claim is not None else None
    right = hmac.compare_digest(proof_key(secret), expected or bytes(32))
    if claim is None or expected is None or not right or claim.user_id is None:
        raise Refused("invitation", _USED_UP)
    if claim.used_at is not None or claim.revoked_at is not None or now >= claim.expires_at:
        raise Refused("invitation", _USED_UP)
    user = session.get_one(User, claim.user_id)
    if user.disabled_at is not None:
        raise Refused("invitation", _USED_UP)
    domain = session.get_one(Domain, user.domain_id).path
    return Invited(claim.id, user.id, user.name, domain, user.password_hash is None)


def redeem_in_browser(session: Session, claim_id: str, secret: bytes, password_hash: str, now: float) -> Invited:
    """Use the invitation up and set the password; raises Refused."""
    invited = find_invitation(session, claim_id, secret, now)
    claim = session.get_one(Claim, invited.claim_id)
    claim.used_at = now
    claim.proof_key = None
    # No key comes with it: the column says by whom it was used, and nobody's key has this digest.
    claim.used_key_sha256 = hashlib.sha256(b"browser" + invited.claim_id.encode()).digest()
    others = update(Claim).where(
        Claim.user_id == invited.user_id, Claim.used_at.is_(None), Claim.revoked_at.is_(None), Claim.id != claim.id
    )
    session.execute(others.values(revoked_at=now, proof_key=None))
    set_password(session, invited.user_id, password_hash, now)
    return invited


def set_password(session: Session, user_id: str, password_hash: str, now: float) -> None:
    """Replace a user's password."""
    user = session.get_one(User, user_id)
    user.password_hash = password_hash
    user.password_changed_at = now
    session.flush()


def reset_word(session: Session, seals: Seals, user_id: str, now: float) -> str:
    """Return the end of a link that replaces this user's password, once, within ``RESET_S``."""
    person = person_by_id(session, user_id)
    if person is None:
        raise Refused("reset", _USED_UP)
    seal = seals.make("reset", user_id, (person.password_hash or "").encode(), now + RESET_S)
    return f"{user_id}.{_encode(seal)}"


def find_reset(session: Session, seals: Seals, word: str, now: float) -> Invited:
    """Return whose link this is; raises Refused. A changed password makes it worth nothing."""
    user_id, _, encoded = word.partition(".")
    seal = _decode(encoded)
    person = person_by_id(session, user_id)
    bound = (person.password_hash or "").encode() if person is not None else b""
    good = len(seal) == SEAL_BYTES and seals.is_good(seal, "reset", user_id, bound, now)
    if person is None or not person.is_good or person.password_hash is None or not good:
        raise Refused("reset", _USED_UP)
    return Invited("", person.user_id, person.name, person.domain, is_first=False)


def whom_to_mail(session: Session, name: str) -> tuple[str, str] | None:
    """Return id and mail address of a user who may replace his password by mail."""
    query = select(User.id, User.email).where(
        User.name == name, User.disabled_at.is_(None), User.password_hash.is_not(None), User.email != ""
    )
    row = session.execute(query).one_or_none()
    return None if row is None else (row.id, row.email)


def _encode(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _decode(text: str) -> bytes:
    try:
        return base64.b64decode(text[:128] + "=" * (-len(text[:128]) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        return b""

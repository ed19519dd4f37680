"""API tokens as records: a program acts for a user, within scopes, until a day. Only the secret's hash is kept.

A secret has 256 random bits: there is nothing to guess, so one SHA-256 is enough, and the look-up by it tells nothing.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Iterable
from typing import Final

from sqlalchemy import func, select, update
from sqlalchemy.orm import Session

from gatelink.exceptions import InputError
from gm_server.database.tables import ApiToken
from gm_server.exceptions import Conflict
from gm_server.ids import new_id
from gm_server.names import check_name

from .actors import Actor, Permission
from .roles import load_actor

PREFIX: Final = "glt_"
"""So that scanners for leaked secrets, and people, know one when they see it."""
MAX_DAYS: Final = 366
MAX_PER_USER: Final = 64
NOTE_EVERY_S: Final = 60.0
"""So often ``last_used_at`` is written at most."""
SCOPES: Final = {
    "read": Permission.SEE,
    "connect": Permission.CONNECT,
    "approve": Permission.APPROVE,
    "change": Permission.CHANGE,
}


def make_token(
    session: Session, user_id: str, name: str, scopes: Iterable[str], days: float, now: float
) -> tuple[ApiToken, str]:
    """Make a token; return its record and the secret, which is known only now. Every token may read."""
    wanted = {"read", *scopes}
    if unknown := wanted - SCOPES.keys():
        raise InputError(f"expected scopes out of {', '.join(SCOPES)}, got {', '.join(sorted(unknown))[:60]}")
    if not 0 < days <= MAX_DAYS:
        raise InputError(f"a token can be valid up to {MAX_DAYS} days, got {days:g}")
    of_user = select(func.count()).where(
        ApiToken.user_id == user_id, ApiToken.revoked_at.is_(None), ApiToken.expires_at > now
    )
    if (session.scalar(of_user) or 0) >= MAX_PER_USER:
        raise Conflict(f"a user can have {MAX_PER_USER} tokens: revoke one first")
    secret = PREFIX + secrets.token_urlsafe(32)
    token = ApiToken(
        id=new_id("tok"),
        user_id=user_id,
        name=check_name(name, "a token"),
        secret_sha256=_digest(secret),
        scopes=" ".join(scope for scope in SCOPES if scope in wanted),
        created_at=now,
        expires_at=now + days * 86400,
    )
    session.add(token)
    session.flush()
    return token, secret


def actor_of_token(session: Session, secret: str, address: str, now: float) -> tuple[Actor, str] | None:
    """Return who acts with a token, and its id; None if it is unknown, over or revoked, or its user disabled."""
    token = session.scalars(select(ApiToken).where(ApiToken.secret_sha256 == _digest(secret))).one_or_none()
    if token is None or token.revoked_at is not None or now >= token.expires_at:
        return None
    scopes = frozenset(SCOPES[scope] for scope in token.scopes.split() if scope in SCOPES)
    actor = load_actor(session, token.user_id, "api", address, scopes)
    return None if actor is None else (actor, token.id)


def note_use(session: Session, token_id: str, now: float) -> None:
    """Remember that a token was used."""
    session.execute(update(ApiToken).where(ApiToken.id == token_id).values(last_used_at=now))


def _digest(secret: str) -> bytes:
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).digest()

"""Browsers that are signed in: opened, ended, and known by the hash of the secret in their cookie."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Sequence
from typing import Final

from sqlalchemy import delete, select, update
from sqlalchemy.orm import Session

from gm_server.database.tables import WebSession
from gm_server.ids import new_id
from gm_server.names import printable

SECRET_BYTES: Final = 32
IDLE_S: Final = 3600.0
"""Without a page opened or a form sent; pages that keep themselves up to date do not count."""
ABSOLUTE_S: Final = 12 * 3600.0
CONFIRMED_S: Final = 600.0
"""So long after a proof of the person dangerous things are not asked for again."""
SEEN_S: Final = 60.0
"""How exactly the last use is written down."""
MAX_SESSIONS: Final = 32
"""Of one user; the oldest makes room."""


def open_session(
    session: Session, user_id: str, certificate_sha256: bytes | None, address: str, browser: str, now: float
) -> bytes:
    """Sign a browser in; return the secret for its cookie."""
    own = select(WebSession.id).where(WebSession.user_id == user_id).order_by(WebSession.created_at.desc())
    surplus = session.scalars(own.offset(MAX_SESSIONS - 1)).all()
    over = (WebSession.expires_at <= now) | (WebSession.last_seen_at <= now - IDLE_S) | WebSession.id.in_(surplus)
    session.execute(delete(WebSession).where(WebSession.user_id == user_id, over))
    secret = secrets.token_bytes(SECRET_BYTES)
    session.add(
        WebSession(
            id=new_id("web"),
            secret_sha256=secret_sha256(secret),
            user_id=user_id,
            certificate_sha256=certificate_sha256,
            address=address,
            browser=printable(browser)[:256],
            created_at=now,
            confirmed_at=now,
            last_seen_at=now,
            expires_at=now + ABSOLUTE_S,
        )
    )
    session.flush()
    return secret


def renew_session(session: Session, session_id: str, now: float) -> bytes:
    """Give a session whose person has proved himself again another secret; return it."""
    secret = secrets.token_bytes(SECRET_BYTES)
    renew = update(WebSession).where(WebSession.id == session_id)
    session.execute(renew.values(secret_sha256=secret_sha256(secret), confirmed_at=now, last_seen_at=now))
    return secret


def note_seen(session: Session, session_id: str, now: float) -> None:
    """The person has done something."""
    session.execute(update(WebSession).where(WebSession.id == session_id).values(last_seen_at=now))


def list_sessions(session: Session, user_id: str, now: float) -> Sequence[WebSession]:
    """Return where a user is signed in, the latest use first."""
    query = select(WebSession).where(
        WebSession.user_id == user_id, WebSession.expires_at > now, WebSession.last_seen_at > now - IDLE_S
    )
    return session.scalars(query.order_by(WebSession.last_seen_at.desc(), WebSession.id)).all()


def end_session(session: Session, user_id: str, session_id: str) -> bool:
    """Sign one of a user's browsers out; False if it was no more."""
    gone = delete(WebSession).where(WebSession.id == session_id, WebSession.user_id == user_id)
    return session.execute(gone.returning(WebSession.id)).first() is not None


def end_sessions(session: Session, user_id: str, but: str = "") -> int:
    """Sign a user's browsers out, all or all but one; return how many."""
    gone = delete(WebSession).where(WebSession.user_id == user_id, WebSession.id != but)
    return len(session.execute(gone.returning(WebSession.id)).all())


def secret_sha256(secret: bytes) -> bytes:
    """Return what is kept of a secret."""
    return hashlib.sha256(secret).digest()

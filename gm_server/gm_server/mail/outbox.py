"""Messages that wait to be sent: written in the transaction of what they tell, so that neither is without the other."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from sqlalchemy import delete, func, or_, select
from sqlalchemy.orm import Session

from gm_server.database.tables import Outgoing
from gm_server.ids import new_id

from .letters import Letter

MAX_WAITING: Final = 10_000
"""What does not fit any more is dropped: mail is a courtesy, the pages hold everything. A security limit."""
LIFETIME_S: Final = 2 * 86400.0
KEPT_S: Final = 30 * 86400.0
"""For so long it can be seen what became of a message; its text is wiped when it is sent."""
_FIRST_S: Final = 60.0
_LONGEST_S: Final = 3600.0


def queue(session: Session, recipient: str, letter: Letter, now: float, lifetime_s: float = LIFETIME_S) -> bool:
    """Let a letter be sent; False if there is no address, or no room."""
    waiting = session.scalar(select(func.count()).select_from(Outgoing).where(Outgoing.next_try_at.is_not(None))) or 0
    if not recipient or waiting >= MAX_WAITING:
        return False
    session.add(
        Outgoing(
            id=new_id("msg"),
            kind="mail",
            recipient=recipient,
            subject=letter.subject,
            body=letter.body,
            created_at=now,
            expires_at=now + lifetime_s,
            next_try_at=now,
        )
    )
    session.flush()
    return True


def due(session: Session, now: float, limit: int) -> Sequence[Outgoing]:
    """Return the mails whose turn it is, oldest first."""
    query = select(Outgoing).where(Outgoing.kind == "mail", Outgoing.next_try_at <= now)
    found = session.scalars(query.order_by(Outgoing.next_try_at).limit(limit)).all()
    session.expunge_all()
    return found


def next_due(session: Session) -> float | None:
    """Return when the next mail's turn is."""
    return session.scalar(select(func.min(Outgoing.next_try_at)).where(Outgoing.kind == "mail"))


def note_sent(session: Session, message_id: str, now: float) -> None:
    """It is sent: its text, which may hold a link with a secret, goes."""
    message = session.get(Outgoing, message_id)
    if message is not None:
        message.sent_at, message.next_try_at, message.body, message.error = now, None, "", ""


def note_failed(session: Session, message_id: str, error: str, now: float, *, for_good: bool) -> bool:
    """It was not sent; return whether it will be tried again, later each time."""
    message = session.get(Outgoing, message_id)
    if message is None:
        return False
    message.tries += 1
    message.error = error[:500]
    wait_s = min(_LONGEST_S, _FIRST_S * 2.0 ** (message.tries - 1))
    again = not for_good and now + wait_s < message.expires_at
    message.next_try_at = now + wait_s if again else None
    if not again:
        message.body = ""
    return again


def tidy(session: Session, now: float) -> None:
    """Forget messages that are sent, or were given up, long ago."""
    done = or_(Outgoing.sent_at < now - KEPT_S, Outgoing.expires_at < now - KEPT_S)
    session.execute(delete(Outgoing).where(done))

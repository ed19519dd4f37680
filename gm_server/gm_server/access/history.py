"""The history of sessions: a row is written before a session opens and closed when it ends."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from gatelink.exceptions import Refused
from gm_server.audit.events import Event
from gm_server.audit.log import Subject, record
from gm_server.database.tables import Appliance, Domain, SessionRecord
from gm_server.names import printable

from . import live
from .actors import SYSTEM, Actor

ENDED_BY_ADMINISTRATOR: Final = "ended-by-administrator"
ENDED_BY_USER: Final = "ended-by-user"
RESUME_S = 600.0
"""For so long a session that broke can be resumed with its addresses."""


def note_opened(session: Session, opened: live.Session, now: float) -> None:
    """Write the row of a session that is about to open."""
    session.add(
        SessionRecord(
            id=opened.session_id,
            user_id=opened.user_id,
            user_name=opened.user_name,
            appliance_id=opened.appliance_id,
            appliance_path=opened.appliance_path,
            devices=", ".join(device.name for device in opened.rights.devices),
            address=opened.address,
            reason=opened.reason,
            tunnel_pc=opened.tunnel.pc,
            requested_at=now,
        )
    )
    by = Actor(opened.user_id, opened.user_name, (), "lm", opened.address)
    devices = ", ".join(device.name for device in opened.rights.devices)
    details = {"appliance_id": opened.appliance_id, "devices": devices, "reason": opened.reason}
    record(session, by, Event.SESSION_OPENED, _subject(opened), now, **details)


def note_refused(
    session: Session, by: Actor, appliance_id: str, code: str, text: str, resumes: str | None, now: float
) -> None:
    """Record that a session was asked for and not given."""
    row = session.execute(
        select(Appliance.name, Domain.path)
        .join(Domain, Domain.id == Appliance.domain_id)
        .where(Appliance.id == appliance_id)
    ).one_or_none()
    # What does not exist is a name that a stranger to it wrote.
    subject = Subject(appliance_id, f"{row.path}/{row.name}", row.path) if row else Subject(printable(appliance_id))
    record(session, by, Event.SESSION_REFUSED, subject, now, "refused", code=code, text=text, resumes=resumes)


def note_joined(session: Session, session_id: str, now: float) -> None:
    """Note that both legs met."""
    session.execute(update(SessionRecord).where(SessionRecord.id == session_id).values(joined_at=now))


def note_ended(session: Session, ended: live.Session, code: str, reason: str, now: float) -> None:
    """Close the row."""
    session.execute(
        update(SessionRecord)
        .where(SessionRecord.id == ended.session_id)
        .values(
            ended_at=now,
            end_code=code,
            end_reason=reason,
            bytes_from_user=ended.bytes_from_user,
            bytes_from_appliance=ended.bytes_from_appliance,
        )
    )
    by = Actor(ended.user_id, ended.user_name, (), "lm", ended.address) if code == ENDED_BY_USER else SYSTEM
    record(
        session,
        by,
        Event.SESSION_ENDED,
        _subject(ended),
        now,
        user=ended.user_name,
        code=code,
        reason=reason,
        bytes_from_user=ended.bytes_from_user,
        bytes_from_appliance=ended.bytes_from_appliance,
    )


def close_open_rows(session: Session, now: float) -> None:
    """Close the rows of sessions that were live when the GateManager died."""
    code, reason = "gm-restarted", "the GateManager was restarted"
    for row in session.scalars(select(SessionRecord).where(SessionRecord.ended_at.is_(None))).all():
        row.ended_at, row.end_code, row.end_reason = now, code, reason
        subject = Subject(row.id, row.appliance_path, row.appliance_path.rpartition("/")[0])
        record(session, SYSTEM, Event.SESSION_ENDED, subject, now, user=row.user_name, code=code, reason=reason)


def tunnel_to_resume(session: Session, session_id: str, user_id: str, appliance_id: str, now: float) -> str | None:
    """Return the PC's tunnel address of a session of this user with this appliance that ended lately.

    Raises Refused if an administrator ended it: to resume is to go on by oneself, and that was to stop.
    """
    record = session.get(SessionRecord, session_id)
    if record is None or (record.user_id, record.appliance_id) != (user_id, appliance_id):
        return None
    if record.end_code == ENDED_BY_ADMINISTRATOR:
        raise Refused(ENDED_BY_ADMINISTRATOR, record.end_reason or "an administrator ended the session")
    if record.ended_at is not None and now - record.ended_at > RESUME_S:
        return None
    return record.tunnel_pc


def list_history(session: Session, limit: int) -> Sequence[SessionRecord]:
    """Return the latest sessions, newest first."""
    return session.scalars(select(SessionRecord).order_by(SessionRecord.requested_at.desc()).limit(limit)).all()


def _subject(session: live.Session) -> Subject:
    path = session.appliance_path
    return Subject(session.session_id, path, path.rpartition("/")[0])

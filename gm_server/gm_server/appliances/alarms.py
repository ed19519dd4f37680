"""Foreign certificates that parties met on their way to this GateManager, as they reported them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from gatelink.identity import fingerprint_text
from gatelink.messages import PinAlarm
from gm_server.access.actors import Actor
from gm_server.audit.events import Event
from gm_server.audit.log import Subject, record
from gm_server.database.tables import PinAlarmRecord
from gm_server.names import printable

MAX_PER_REPORTER: Final = 64
"""Different ones; the oldest make room."""


def note_alarms(session: Session, reporter_id: str, reporter_name: str, alarms: Sequence[PinAlarm], now: float) -> None:
    """Keep what a party reported; the same certificate on the same way is one record."""
    for alarm in alarms:
        address = printable(alarm.route.address)
        query = select(PinAlarmRecord).where(
            PinAlarmRecord.reporter_id == reporter_id,
            PinAlarmRecord.address == address,
            PinAlarmRecord.port == alarm.route.port,
            PinAlarmRecord.key_sha256 == alarm.key_sha256,
        )
        kept = session.scalars(query).one_or_none()
        is_new = kept is None
        if kept is None:
            kept = PinAlarmRecord(
                reporter_id=reporter_id,
                address=address,
                port=alarm.route.port,
                proxy=alarm.route.proxy,
                key_sha256=alarm.key_sha256,
                first_seen_at=alarm.seen_at,
            )
            session.add(kept)
        kept.reporter_name = reporter_name
        kept.serial = printable(alarm.serial)
        kept.last_seen_at = alarm.seen_at
        kept.reported_at = now
        session.flush()
        if is_new:
            _record(session, reporter_id, reporter_name, alarm, now)
    _make_room(session, reporter_id)


def list_alarms(session: Session, limit: int) -> Sequence[PinAlarmRecord]:
    """Return the latest alarms, newest first."""
    query = select(PinAlarmRecord).order_by(PinAlarmRecord.reported_at.desc(), PinAlarmRecord.id.desc())
    return session.scalars(query.limit(limit)).all()


def _make_room(session: Session, reporter_id: str) -> None:
    of_reporter = PinAlarmRecord.reporter_id == reporter_id
    excess = (session.scalar(select(func.count()).where(of_reporter)) or 0) - MAX_PER_REPORTER
    if excess > 0:
        oldest = select(PinAlarmRecord).where(of_reporter).order_by(PinAlarmRecord.reported_at, PinAlarmRecord.id)
        for record in session.scalars(oldest.limit(excess)):
            session.delete(record)
    session.flush()


def _record(session: Session, reporter_id: str, reporter_name: str, alarm: PinAlarm, now: float) -> None:
    """Into the audit log, once for each foreign certificate. A user's name is no path: it concerns the server."""
    domain = reporter_name.rpartition("/")[0]
    by = Actor(reporter_id, reporter_name.rpartition("/")[2], (), "sm" if domain else "lm")
    record(
        session,
        by,
        Event.PIN_ALARM,
        Subject(reporter_id, reporter_name, domain),
        now,
        address=printable(alarm.route.address),
        port=alarm.route.port,
        serial=printable(alarm.serial),
        key=fingerprint_text(alarm.key_sha256),
        seen_at=alarm.seen_at,
    )

"""Foreign certificates that parties met on their way to this GateManager, as they reported them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from gatelink.messages import PinAlarm
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
        record = session.scalars(query).one_or_none()
        if record is None:
            record = PinAlarmRecord(
                reporter_id=reporter_id,
                address=address,
                port=alarm.route.port,
                proxy=alarm.route.proxy,
                key_sha256=alarm.key_sha256,
                first_seen_at=alarm.seen_at,
            )
            session.add(record)
        record.reporter_name = reporter_name
        record.serial = printable(alarm.serial)
        record.last_seen_at = alarm.seen_at
        record.reported_at = now
        session.flush()
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

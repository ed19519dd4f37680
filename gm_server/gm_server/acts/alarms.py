"""Alarms: what somebody should look at, in the domains that one's roles show."""

from __future__ import annotations

import msgspec
from sqlalchemy import select
from sqlalchemy.orm import Session

from gm_server.access.actors import Actor, Permission
from gm_server.database.tables import Alarm
from gm_server.exceptions import Forbidden

from .paging import Page, Paging, fetch, matches
from .sight import within
from .subjects import missing


class AlarmView(msgspec.Struct, frozen=True, kw_only=True):
    """An alarm."""

    id: str
    kind: str
    subject_id: str
    subject: str
    domain: str
    text: str
    since: float
    ended_at: float | None
    seen_at: float | None
    seen_by: str


def list_alarms(session: Session, by: Actor, paging: Paging, *, live: bool | None = None) -> Page[AlarmView]:
    """Return alarms, the newest first; ``live``: only those that go on (True), or that are over."""
    query = select(Alarm).where(within(Alarm.domain, by.seen_domains))
    query = query.where(matches(paging.search, Alarm.subject_name, Alarm.text, Alarm.kind))
    if live is not None:
        query = query.where(Alarm.ended_at.is_(None) if live else Alarm.ended_at.is_not(None))
    found = fetch(session, query, paging, Alarm.since, Alarm.id, descending=True)
    return Page(tuple(_view(row[0]) for row in found.rows), found.next, found.total)


def mark_seen(session: Session, by: Actor, alarm_id: str, now: float) -> AlarmView:
    """Say that somebody looks after it: it is counted no more. Whoever sees and may do something there may say so."""
    alarm = session.get(Alarm, alarm_id)
    if alarm is None:
        missing("alarm", alarm_id)
    by.must(Permission.SEE, alarm.domain or None, f"alarm {alarm_id[:80]}")
    doing = (Permission.CONNECT, Permission.APPROVE, Permission.CHANGE)
    if not any(by.may(permission, alarm.domain or None) for permission in doing):
        raise Forbidden("observers only watch: who may do something there says that he looks after it")
    if alarm.seen_at is None:
        alarm.seen_at, alarm.seen_by = now, by.name
        session.flush()
    return _view(alarm)


def _view(alarm: Alarm) -> AlarmView:
    return AlarmView(
        id=alarm.id,
        kind=alarm.kind,
        subject_id=alarm.subject_id,
        subject=alarm.subject_name,
        domain=alarm.domain,
        text=alarm.text,
        since=alarm.since,
        ended_at=alarm.ended_at,
        seen_at=alarm.seen_at,
        seen_by=alarm.seen_by,
    )

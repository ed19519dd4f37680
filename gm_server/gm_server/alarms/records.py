"""Opens and closes alarms, and tells people: each transition once, also across a restart."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
from sqlalchemy import or_, select
from sqlalchemy.orm import Session

from gm_server.access.actors import Actor, Permission
from gm_server.database.tables import Alarm
from gm_server.exceptions import NotFound
from gm_server.ids import new_id
from gm_server.mail import letters
from gm_server.mail.approvers import people_who_may
from gm_server.mail.letters import Letter
from gm_server.mail.outbox import queue

from .conditions import Condition


class Told(msgspec.Struct, frozen=True):
    """Whom to tell and how; no ``link``: nobody gets a letter."""

    gatemanager: str
    link: str


class Changes(msgspec.Struct, frozen=True):
    """Texts of the alarms that began and ended."""

    begun: tuple[str, ...]
    ended: tuple[str, ...]


def put(session: Session, kinds: Sequence[str], conditions: Sequence[Condition], told: Told, now: float) -> Changes:
    """Make the open alarms of these kinds exactly what is wrong now."""
    wrong = {(condition.kind, condition.subject_id): condition for condition in conditions}
    opened = session.scalars(select(Alarm).where(Alarm.ended_at.is_(None), Alarm.kind.in_(kinds))).all()
    ended: list[str] = []
    for alarm in opened:
        condition = wrong.pop((alarm.kind, alarm.subject_id), None)
        if condition is not None:
            alarm.text = condition.text
            alarm.subject_name = condition.subject
            continue
        alarm.ended_at = now
        ended.append(alarm.text)
        letter = letters.alarm_over(told.gatemanager, alarm.text, alarm.subject_name, alarm.since, now)
        _tell(session, alarm.domain, letter, told, now)
    for condition in wrong.values():
        session.add(
            Alarm(
                id=new_id("alm"),
                kind=condition.kind,
                subject_id=condition.subject_id,
                subject_name=condition.subject,
                domain=condition.domain,
                text=condition.text,
                since=condition.since,
            )
        )
        letter = letters.alarm(told.gatemanager, condition.text, condition.subject, condition.since, told.link)
        _tell(session, condition.domain, letter, told, now)
    session.flush()
    return Changes(tuple(condition.text for condition in wrong.values()), tuple(ended))


def list_alarms(session: Session, by: Actor, limit: int = 100, *, open_only: bool = True) -> Sequence[Alarm]:
    """Return the alarms in domains that the actor sees, newest first."""
    query = select(Alarm).order_by(Alarm.since.desc(), Alarm.id).limit(limit)
    if open_only:
        query = query.where(Alarm.ended_at.is_(None))
    domains = by.seen_domains
    if domains is not None:
        within = [or_(Alarm.domain == path, Alarm.domain.startswith(path + "/", autoescape=True)) for path in domains]
        query = query.where(or_(False, *within))
    return session.scalars(query).all()


def note_seen(session: Session, by: Actor, alarm_id: str, now: float) -> Alarm:
    """Note that somebody looks after it."""
    alarm = session.get(Alarm, alarm_id)
    if alarm is None:
        raise NotFound(f"there is no alarm {alarm_id[:60]}")
    by.must(Permission.CHANGE, alarm.domain or None, f"alarm {alarm_id[:60]}")
    alarm.seen_at, alarm.seen_by = alarm.seen_at or now, alarm.seen_by or by.name
    session.flush()
    return alarm


def _tell(session: Session, domain: str, letter: Letter, told: Told, now: float) -> None:
    if told.link:
        for person in people_who_may(session, Permission.CHANGE, domain or None):
            queue(session, person.email, letter, now)

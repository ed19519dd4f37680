"""Reads the audit log: filtered, page by page, and only what the reader's roles let him see."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec
from sqlalchemy import ColumnElement, Select, and_, false, func, or_, select
from sqlalchemy.orm import Session

from gm_server.database.tables import AuditCheckpoint, AuditEntry

from .chain import Entry
from .cuts import beginning

MAX_PAGE: Final = 1000
"""Entries in one answer."""


class Filter(msgspec.Struct, frozen=True, kw_only=True):
    """Which entries are wanted; empty fields ask for nothing."""

    domains: tuple[str, ...] | None = None
    """Paths of the domains that the reader may see, with everything below each; None: everything, the server's too."""
    event: str = ""
    """A whole name (``grant.added``) or what stands before its dot (``grant``)."""
    actor: str = ""
    """Id or name."""
    subject: str = ""
    """Id, or a part of the name."""
    domain: str = ""
    """A domain's path, with everything below."""
    result: str = ""
    since: float | None = None
    until: float | None = None

    @property
    def is_everything(self) -> bool:
        """Whether it leaves nothing out."""
        return self == Filter()


class Record(msgspec.Struct, frozen=True):
    """An entry and the hash that stands with it."""

    entry: Entry
    hash: bytes


def page(session: Session, wanted: Filter, before: int | None = None, limit: int = 100) -> Sequence[Record]:
    """Return the newest entries with numbers below ``before``, newest first."""
    query = _where(select(AuditEntry), wanted).order_by(AuditEntry.number.desc())
    query = query.where(AuditEntry.number > beginning(session))
    if before is not None:
        query = query.where(AuditEntry.number < before)
    return [to_record(row) for row in session.scalars(query.limit(min(limit, MAX_PAGE)))]


def run(session: Session, after: int, last: int) -> Sequence[Record]:
    """Return the entries that follow number ``after``, oldest first, ``MAX_PAGE`` at most, up to number ``last``."""
    query = select(AuditEntry).where(AuditEntry.number > after, AuditEntry.number <= last).order_by(AuditEntry.number)
    return [to_record(row) for row in session.scalars(query.limit(MAX_PAGE))]


def numbers(session: Session, wanted: Filter, after: int, last: int) -> frozenset[int]:
    """Return which of those numbers are wanted."""
    query = select(AuditEntry.number).where(AuditEntry.number > after, AuditEntry.number <= last)
    return frozenset(session.scalars(_where(query, wanted)))


def head(session: Session) -> tuple[int, bytes] | None:
    """Return the newest entry's number and hash."""
    row = session.execute(
        select(AuditEntry.number, AuditEntry.hash).order_by(AuditEntry.number.desc()).limit(1)
    ).first()
    return None if row is None else (row.number, row.hash)


def count(session: Session, wanted: Filter) -> int:
    """Return how many entries are wanted."""
    query = _where(select(func.count()).select_from(AuditEntry), wanted)
    return session.scalar(query.where(AuditEntry.number > beginning(session))) or 0


def checkpoints(session: Session, after: int, last: int) -> Sequence[AuditCheckpoint]:
    """Return the checkpoints over those numbers."""
    query = select(AuditCheckpoint).where(AuditCheckpoint.number > after, AuditCheckpoint.number <= last)
    return session.scalars(query.order_by(AuditCheckpoint.number)).all()


def to_record(row: AuditEntry) -> Record:
    """Return an entry as it is hashed."""
    entry = Entry(
        number=row.number,
        at=row.at,
        event=row.event,
        result=row.result,
        actor_id=row.actor_id,
        actor_name=row.actor_name,
        via=row.via,
        address=row.address,
        subject_id=row.subject_id,
        subject_name=row.subject_name,
        domain=row.domain,
        details=msgspec.json.decode(row.details),
    )
    return Record(entry, row.hash)


def _where(query: Select[tuple[AuditEntry]] | Select[tuple[int]], wanted: Filter) -> Select:  # type: ignore[type-arg]
    conditions: list[ColumnElement[bool]] = []
    if wanted.domains is not None:
        conditions.append(or_(false(), *(_within(path) for path in wanted.domains)))
    if wanted.domain:
        conditions.append(_within(wanted.domain))
    if wanted.event:
        prefix = AuditEntry.event.startswith(wanted.event + ".", autoescape=True)
        conditions.append(or_(AuditEntry.event == wanted.event, prefix))
    if wanted.actor:
        conditions.append(or_(AuditEntry.actor_id == wanted.actor, AuditEntry.actor_name == wanted.actor))
    if wanted.subject:
        named = AuditEntry.subject_name.contains(wanted.subject, autoescape=True)
        conditions.append(or_(AuditEntry.subject_id == wanted.subject, named))
    if wanted.result:
        conditions.append(AuditEntry.result == wanted.result)
    if wanted.since is not None:
        conditions.append(AuditEntry.at >= wanted.since)
    if wanted.until is not None:
        conditions.append(AuditEntry.at < wanted.until)
    return query.where(and_(*conditions)) if conditions else query


def _within(path: str) -> ColumnElement[bool]:
    return or_(AuditEntry.domain == path, AuditEntry.domain.startswith(path + "/", autoescape=True))

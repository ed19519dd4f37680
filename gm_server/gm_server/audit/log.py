"""Writes entries, each in the transaction of what it tells."""

from __future__ import annotations

from typing import Literal

import msgspec
from sqlalchemy import select
from sqlalchemy.orm import Session

from gm_server.access.actors import Actor
from gm_server.database.tables import AuditEntry

from .chain import FIRST, Entry, entry_hash
from .events import Event

Result = Literal["done", "refused", "failed"]
Detail = str | int | float | bool | None


class Subject(msgspec.Struct, frozen=True):
    """What an entry is about. ``domain`` (a path; empty: the server) decides who may read it."""

    id: str = ""
    name: str = ""
    domain: str = ""


def record(
    session: Session,
    by: Actor,
    event: Event,
    subject: Subject,
    now: float,
    result: Result = "done",
    /,
    **details: Detail,
) -> None:
    """Append an entry. Details are for people and hold no secret."""
    last = session.execute(
        select(AuditEntry.number, AuditEntry.hash).order_by(AuditEntry.number.desc()).limit(1)
    ).first()
    number, previous = (last.number + 1, last.hash) if last else (1, FIRST)
    entry = Entry(
        number=number,
        at=now,
        event=event.value,
        result=result,
        actor_id=by.user_id,
        actor_name=by.name,
        via=by.via,
        address=by.address,
        subject_id=subject.id,
        subject_name=subject.name,
        domain=subject.domain,
        details=details,
    )
    fields = msgspec.structs.asdict(entry) | {"details": msgspec.json.encode(details, order="sorted").decode()}
    session.add(AuditEntry(**fields, hash=entry_hash(previous, entry)))
    session.flush()

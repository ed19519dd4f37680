"""Reading the audit log: everybody sees what happened in the domains that his roles show him."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
from sqlalchemy.orm import Session

from gm_server.access.actors import Actor
from gm_server.audit import reading
from gm_server.audit.events import Event
from gm_server.audit.log import Subject, record
from gm_server.audit.reading import Filter, Record
from gm_server.exceptions import Forbidden


def list_entries(
    session: Session, by: Actor, wanted: Filter, before: int | None = None, limit: int = 100
) -> Sequence[Record]:
    """Return the newest entries that ``by`` may see, with numbers below ``before``, newest first."""
    return reading.page(session, seen_by(by, wanted), before, limit)


def start_export(session: Session, by: Actor, wanted: Filter, form: str, now: float) -> Filter:
    """Record that the log is exported; return the filter with which to do it (``audit.export``)."""
    wanted = seen_by(by, wanted)
    subject = Subject(name="audit log", domain=wanted.domain)
    record(session, by, Event.AUDIT_EXPORTED, subject, now, form=form, entries=reading.count(session, wanted))
    return wanted


def seen_by(by: Actor, wanted: Filter) -> Filter:
    """Return the filter limited to what ``by`` may see; raises Forbidden for who sees no domain."""
    domains = by.seen_domains
    if domains is not None and not domains:
        raise Forbidden("only who has a role in a domain sees an audit log: its own")
    return msgspec.structs.replace(wanted, domains=domains)

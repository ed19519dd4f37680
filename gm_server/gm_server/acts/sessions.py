"""Sessions: the live ones and those of the past, and their end.

The records know when a session began and ended; what it has carried so far only the running server knows. To end one
is a right that is checked and recorded here; whoever asked then tells the running server (``service.live``).
"""

from __future__ import annotations

import msgspec
from sqlalchemy import ColumnElement, Select, and_, or_, select
from sqlalchemy.orm import Session

from gm_server.access.actors import Actor, Permission
from gm_server.audit.events import Event
from gm_server.audit.log import Subject, record
from gm_server.database.tables import Appliance, Domain, SessionRecord
from gm_server.exceptions import Conflict, Forbidden

from .paging import Page, Paging, fetch, matches
from .sight import sight_of, within
from .subjects import find_domain, missing


class SessionView(msgspec.Struct, frozen=True, kw_only=True):
    """A session. Sizes are bytes."""

    id: str
    user_id: str
    user: str
    appliance_id: str
    appliance: str
    """Its path when the session began."""
    devices: str
    """Names, commas between them."""
    address: str
    """From where the user came."""
    reason: str
    mode: str
    live: bool
    requested_at: float
    joined_at: float | None
    ended_at: float | None
    end_code: str | None
    end_reason: str | None
    bytes_from_user: int
    """Of a live one: as the running server counted last, if it was asked."""
    bytes_from_appliance: int
    may_end: bool
    """Whether who asked may end it."""


def list_sessions(
    session: Session,
    by: Actor,
    paging: Paging,
    now: float,
    *,
    live: bool | None = None,
    user: str = "",
    appliance: str = "",
    domain: str = "",
    since: float | None = None,
    until: float | None = None,
) -> Page[SessionView]:
    """Return the sessions with appliances in domains that the actor sees, and his own, newest first.

    ``user`` and ``appliance`` are ids, also of what was removed; ``domain`` is an id or path.
    """
    query = _seen_by(session, by, now)
    columns = (SessionRecord.user_name, SessionRecord.appliance_path, SessionRecord.devices, SessionRecord.reason)
    query = query.where(matches(paging.search, *columns))
    if live is not None:
        query = query.where(SessionRecord.ended_at.is_(None) if live else SessionRecord.ended_at.is_not(None))
    if user:
        query = query.where(SessionRecord.user_id == user)
    if appliance:
        query = query.where(SessionRecord.appliance_id == appliance)
    if domain:
        query = query.where(_in_domains([find_domain(session, by, domain).path]))
    if since is not None:
        query = query.where(SessionRecord.requested_at >= since)
    if until is not None:
        query = query.where(SessionRecord.requested_at < until)
    keys = (SessionRecord.requested_at, SessionRecord.id)
    found = fetch(session, query, paging, *keys, descending=True, count=live is True)
    return Page(tuple(_view(by, row[0], row[1]) for row in found.rows), found.next, found.total)


def get_session(session: Session, by: Actor, session_id: str, now: float) -> SessionView:
    """Return one session."""
    row = session.execute(_seen_by(session, by, now).where(SessionRecord.id == session_id)).one_or_none()
    if row is None:
        missing("session", session_id)
    return _view(by, row[0], row[1])


def end_session(session: Session, by: Actor, session_id: str, now: float, why: str = "") -> SessionView:
    """Record that a live session is to end; raises Conflict if it did already."""
    view = get_session(session, by, session_id, now)
    if not view.may_end:
        raise Forbidden("only administrators of the appliance's domain, and its user, may end a session")
    if not view.live:
        raise Conflict(f"the session {session_id[:60]} has ended already")
    _record_end(session, by, view, why, now)
    return view


def end_sessions(
    session: Session, by: Actor, now: float, *, user: str = "", appliance: str = "", domain: str = "", why: str = ""
) -> tuple[str, ...]:
    """Record that all live sessions that the actor may end are to end, or only some; return their ids."""
    query = _seen_by(session, by, now).where(SessionRecord.ended_at.is_(None))
    if user:
        query = query.where(SessionRecord.user_id == user)
    if appliance:
        query = query.where(SessionRecord.appliance_id == appliance)
    if domain:
        query = query.where(_in_domains([find_domain(session, by, domain).path]))
    views = [_view(by, row[0], row[1]) for row in session.execute(query.order_by(SessionRecord.requested_at))]
    for view in views:
        if view.may_end:
            _record_end(session, by, view, why, now)
    return tuple(view.id for view in views if view.may_end)


def _seen_by(session: Session, by: Actor, now: float) -> Select[tuple[SessionRecord, str]]:
    query = (
        select(SessionRecord, Domain.path)
        .outerjoin(Appliance, Appliance.id == SessionRecord.appliance_id)
        .outerjoin(Domain, Domain.id == Appliance.domain_id)
    )
    domains = sight_of(session, by, now).by.seen_domains
    if domains is None:
        return query
    seen = _in_domains(domains)
    return query.where(or_(seen, SessionRecord.user_id == by.user_id) if by.user_id and by.may_see_himself else seen)


def _in_domains(domains: list[str] | tuple[str, ...]) -> ColumnElement[bool]:
    """With an appliance that is in one of the domains now; of a removed one counts where it was."""
    gone = and_(Appliance.id.is_(None), within(SessionRecord.appliance_path, domains))
    return or_(within(Domain.path, domains), gone)


def _view(by: Actor, kept: SessionRecord, domain: str | None) -> SessionView:
    place = domain if domain is not None else kept.appliance_path.rpartition("/")[0]
    mine = bool(by.user_id) and kept.user_id == by.user_id and (by.scopes is None or Permission.CONNECT in by.scopes)
    return SessionView(
        id=kept.id,
        user_id=kept.user_id,
        user=kept.user_name,
        appliance_id=kept.appliance_id,
        appliance=kept.appliance_path,
        devices=kept.devices,
        address=kept.address,
        reason=kept.reason,
        mode=kept.mode,
        live=kept.ended_at is None,
        requested_at=kept.requested_at,
        joined_at=kept.joined_at,
        ended_at=kept.ended_at,
        end_code=kept.end_code,
        end_reason=kept.end_reason,
        bytes_from_user=kept.bytes_from_user,
        bytes_from_appliance=kept.bytes_from_appliance,
        may_end=kept.ended_at is None and (mine or by.may(Permission.CHANGE, place)),
    )


def _record_end(session: Session, by: Actor, view: SessionView, why: str, now: float) -> None:
    subject = Subject(view.id, f"{view.user} to {view.appliance}"[:640], view.appliance.rpartition("/")[0])
    record(session, by, Event.SESSION_ENDED, subject, now, "done", code="ended-by-administrator", why=why[:512])

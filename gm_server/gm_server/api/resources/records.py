"""Who the token acts for, alarms, and the audit log."""

from __future__ import annotations

from typing import Annotated, Final

import msgspec
from msgspec import Meta
from sqlalchemy.orm import Session

from gm_server.access.actors import Role
from gm_server.access.tokens import SCOPES
from gm_server.acts import alarms, audit
from gm_server.acts.alarms import AlarmView
from gm_server.acts.audit import ExportFile, ExportForm
from gm_server.acts.paging import Page, Paging
from gm_server.acts.subjects import missing
from gm_server.acts.tokens import Scope
from gm_server.api.endpoints import Call, Endpoint
from gm_server.audit.chain import Entry
from gm_server.audit.reading import Filter

from .moments import Moment

MAX_DIGITS: Final = 15
"""Of an entry's number."""
Short = Annotated[str, Meta(max_length=200)]


class Me(msgspec.Struct, frozen=True):
    """Who a token acts for."""

    id: str
    name: str
    roles: tuple[Role, ...]
    scopes: tuple[Scope, ...]


class AlarmQuery(Paging, frozen=True, forbid_unknown_fields=True):
    """Which alarms."""

    live: bool | None = None
    """Whether they go on."""


class AuditQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which entries; newest first."""

    event: Short = ""
    """A whole name (``grant.added``) or what stands before its dot (``grant``)."""
    actor: Short = ""
    subject: Short = ""
    domain: Annotated[str, Meta(max_length=512)] = ""
    result: Short = ""
    since: Moment | None = None
    until: Moment | None = None
    before: Annotated[int, Meta(ge=1, le=2**53)] | None = None
    """Number of an entry: only those before it."""
    limit: Annotated[int, Meta(ge=1, le=500)] = 100


class NewExport(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Which entries to write into a file, the oldest first, and how."""

    form: ExportForm = "jsonl"
    """``jsonl`` is signed, and can be verified without the server; ``csv`` is for spreadsheets."""
    event: Short = ""
    actor: Short = ""
    subject: Short = ""
    domain: Annotated[str, Meta(max_length=512)] = ""
    result: Short = ""
    since: Moment | None = None
    until: Moment | None = None


class AuditPage(msgspec.Struct, frozen=True):
    """Entries of the audit log; ``next`` is ``before`` of the next page."""

    items: tuple[Entry, ...]
    next: int | None


def _me(_session: Session, call: Call) -> Me:
    by = call.by
    scopes: list[Scope] = [name for name, allows in SCOPES.items() if by.scopes is None or allows in by.scopes]  # type: ignore[misc]
    return Me(by.user_id, by.name, by.roles, tuple(scopes))


def _audit(session: Session, call: Call) -> AuditPage:
    query: AuditQuery = call.query
    found = audit.list_entries(session, call.by, _wanted(query), query.before, query.limit + 1)
    entries = tuple(item.entry for item in found[: query.limit])
    return AuditPage(entries, entries[-1].number if len(found) > query.limit else None)


def _wanted(asked: AuditQuery | NewExport) -> Filter:
    return Filter(
        event=asked.event,
        actor=asked.actor,
        subject=asked.subject,
        domain=asked.domain.strip("/"),
        result=asked.result,
        since=asked.since,
        until=asked.until,
    )


def _entry(session: Session, call: Call) -> Entry:
    if not call.id.isdecimal() or len(call.id) > MAX_DIGITS:
        missing("entry", call.id)
    return audit.get_entry(session, call.by, int(call.id)).entry


def _export(session: Session, call: Call) -> ExportFile:
    body: NewExport = call.body
    return audit.open_export(session, call.by, _wanted(body), body.form, call.identity, call.gatemanager, call.now)


ENDPOINTS: Final = (
    Endpoint(
        method="GET",
        path="/me",
        name="getMe",
        summary="Say who the token acts for",
        tag="Tokens",
        scope="read",
        answer=Me,
        work=_me,
    ),
    Endpoint(
        method="GET",
        path="/alarms",
        name="listAlarms",
        summary="List alarms, those that go on and those that are over",
        tag="Alarms",
        scope="read",
        query=AlarmQuery,
        answer=Page[AlarmView],
        work=lambda session, call: alarms.list_alarms(session, call.by, call.query, live=call.query.live),
    ),
    Endpoint(
        method="POST",
        path="/alarms/{alarm_id}/seen",
        name="markAlarmSeen",
        summary="Say that somebody looks after an alarm",
        tag="Alarms",
        scope="change",
        answer=AlarmView,
        work=lambda session, call: alarms.mark_seen(session, call.by, call.id, call.now),
    ),
    Endpoint(
        method="GET",
        path="/audit",
        name="listAudit",
        summary="Read the audit log",
        tag="Audit",
        scope="read",
        query=AuditQuery,
        answer=AuditPage,
        work=_audit,
    ),
    Endpoint(
        method="GET",
        path="/audit/{number}",
        name="getAuditEntry",
        summary="Read one entry of the audit log",
        tag="Audit",
        scope="read",
        answer=Entry,
        work=_entry,
    ),
    Endpoint(
        method="POST",
        path="/audit/export",
        name="exportAudit",
        summary="Get the audit log as a file; that it was asked for is recorded",
        tag="Audit",
        scope="read",
        body=NewExport,
        file=("application/jsonl", "text/csv"),
        work=_export,
    ),
)

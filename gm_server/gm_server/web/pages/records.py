"""What happened and what happens: sessions, alarms, the audit log."""

from __future__ import annotations

import datetime
from collections.abc import AsyncIterator
from typing import Any, Final

from starlette.responses import Response, StreamingResponse

from gatelink.exceptions import GatelinkError, InputError
from gm_server.acts import alarms as alarm_acts
from gm_server.acts import audit as audit_acts
from gm_server.acts import sessions as acts
from gm_server.audit.events import Event
from gm_server.audit.reading import Filter
from gm_server.web.forms import Form
from gm_server.web.visits import Visit

GET: Final = ["GET"]
BOTH: Final = ["GET", "POST"]
POST: Final = ["POST"]
PAGE: Final = 100
DAY_S: Final = 86400.0


async def sessions(visit: Visit) -> Response:
    """Show the sessions: live ones with their bytes as they are now, then the history."""
    live = await visit.read(acts.list_sessions, visit.paging(200), visit.now, live=True)
    past = await visit.read(acts.list_sessions, visit.paging(), visit.now, live=False)
    counted = {session.session_id: session for session in visit.live.sessions()}
    return visit.show("sessions.html", live=live, page=past, counted=counted)


async def session(visit: Visit) -> Response:
    """Show one session."""
    found = await visit.read(acts.get_session, visit.name(), visit.now)
    return visit.show("session.html", session=found, counted=visit.live.session(found.id))


async def end_session(visit: Visit) -> Response:
    """Ask, then end one."""
    found = await visit.read(acts.get_session, visit.name(), visit.now)
    if not visit.is_post:
        return visit.ask("session-end", found.user, f"/sessions/{found.id}")
    why = visit.form.text("why")
    await visit.write(acts.end_session, found.id, visit.now, why)
    visit.live.end_session(found.id, _reason(visit, why))
    return visit.to(f"/sessions/{found.id}", "session-ended")


async def end_sessions(visit: Visit) -> Response:
    """Ask, then end all that the visitor may: of a user, of an appliance, or every one."""
    user, appliance = visit.query.text("user"), visit.query.text("appliance")
    if not visit.is_post:
        return visit.ask("sessions-end", visit.query.text("name") or visit.gettext("All sessions"), "/sessions")
    why = visit.form.text("why")
    ended = await visit.write(acts.end_sessions, visit.now, user=user, appliance=appliance, why=why)
    for session_id in ended:
        visit.live.end_session(session_id, _reason(visit, why))
    return visit.to("/sessions", "sessions-ended")


def _reason(visit: Visit, why: str) -> str:
    return f"{visit.by.name} ended the session" + (f": {why}" if why else "")


async def alarms(visit: Visit) -> Response:
    """Show the alarms: those that go on, then those that are over."""
    live = await visit.read(alarm_acts.list_alarms, visit.paging(200), live=True)
    past = await visit.read(alarm_acts.list_alarms, visit.paging(), live=False)
    return visit.show("alarms.html", live=live, page=past)


async def alarm_seen(visit: Visit) -> Response:
    """Somebody looks after it."""
    await visit.write(alarm_acts.mark_seen, visit.name(), visit.now)
    return visit.to("/alarms", "alarm-seen")


async def audit(visit: Visit) -> Response:
    """Show the audit log."""
    before = visit.query.number("before", "the number")
    wanted, error = Filter(), None
    try:
        wanted = _filter(visit.query)
    except GatelinkError as failed:
        error = failed
    records = await visit.read(audit_acts.list_entries, wanted, before, PAGE + 1)
    more = records[PAGE - 1].entry.number if len(records) > PAGE else None
    subjects = sorted({event.value.partition(".")[0] for event in Event})
    values: dict[str, Any] = {"records": records[:PAGE], "more": more, "subjects": subjects, "link_to": _link_to}
    return visit.again("audit.html", error, **values) if error else visit.show("audit.html", **values)


async def audit_entry(visit: Visit) -> Response:
    """Show one entry with everything in it."""
    number = int(visit.name())
    found = await visit.read(audit_acts.get_entry, number)
    return visit.show("audit_entry.html", record=found, link_to=_link_to)


async def audit_export(visit: Visit) -> Response:
    """Give the log, filtered, as a file. It is a form, because it is recorded."""
    form: audit_acts.ExportForm
    match visit.form.text("form"):
        case "jsonl":
            form = "jsonl"
        case "csv":
            form = "csv"
        case _:
            raise InputError("the log is exported as jsonl or csv")
    portal = visit.portal
    file = await visit.write(
        audit_acts.open_export, _filter(visit.form), form, portal.identity(), portal.about().name, visit.now
    )

    async def pieces() -> AsyncIterator[bytes]:
        while (piece := await portal.store.read(file.pages.page)) is not None:
            yield piece

    headers = {"Content-Disposition": f'attachment; filename="{file.name}"'}
    return StreamingResponse(pieces(), media_type=file.media_type, headers=headers)


def _filter(form: Form) -> Filter:
    return Filter(
        event=form.text("event"),
        actor=form.text("actor"),
        subject=form.text("subject"),
        domain=form.text("domain").strip("/"),
        result=form.text("result"),
        since=_day(form.text("since")),
        until=_day(form.text("until"), DAY_S),
    )


def _day(text: str, add_s: float = 0.0) -> float | None:
    if not text:
        return None
    try:
        return datetime.datetime.fromisoformat(text).replace(tzinfo=datetime.UTC).timestamp() + add_s
    except ValueError:
        raise InputError(f"expected a date like 2026-01-31, got {text[:40]!r}") from None


def _link_to(subject_id: str) -> str:
    """Return the page of what an entry is about; empty if there is none."""
    kinds = {"sm-": "appliances", "dev": "devices", "usr": "users", "grp": "groups", "dom": "domains"}
    kinds |= {"grt": "grants", "req": "requests", "ses": "sessions"}
    kind = kinds.get(subject_id[:3])
    return f"/{kind}/{subject_id}" if kind else ""


PAGES: Final = (
    ("/sessions", sessions, GET),
    ("/sessions/end", end_sessions, BOTH),
    ("/sessions/{id}", session, GET),
    ("/sessions/{id}/end", end_session, BOTH),
    ("/alarms", alarms, GET),
    ("/alarms/{id}/seen", alarm_seen, POST),
    ("/audit", audit, GET),
    ("/audit/export", audit_export, POST),
    ("/audit/{id:int}", audit_entry, GET),
)

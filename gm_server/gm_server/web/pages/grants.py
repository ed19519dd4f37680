"""Grants: who may reach what, when, on which terms."""

from __future__ import annotations

import datetime
from typing import Any, Final
from zoneinfo import ZoneInfo

from sqlalchemy.orm import Session
from starlette.responses import Response

from gatelink.exceptions import GatelinkError, InputError
from gm_server.access.actors import Actor, Permission
from gm_server.access.weeks import DAY_NAMES, MAX_WINDOWS, Weekly, Window, describe
from gm_server.acts import devices as device_acts
from gm_server.acts import grants as acts
from gm_server.acts.grants import GrantChange, GrantView, NewGrant
from gm_server.acts.paging import Paging
from gm_server.web.forms import Form, convert
from gm_server.web.visits import Visit

GET: Final = ["GET"]
BOTH: Final = ["GET", "POST"]
ZONES: Final = ("Europe/Berlin", "Europe/London", "Europe/Copenhagen", "America/New_York", "Asia/Shanghai", "UTC")
EMPTY_LINES: Final = 3
"""For more hours within the week; who needs still more saves and comes back."""


async def index(visit: Visit) -> Response:
    """Show the list."""
    state = visit.query.text("state")
    page = await visit.read(acts.list_grants, visit.paging(), visit.now, state=state or None)  # type: ignore[arg-type]
    return visit.show("grants.html", page=page, state=state)


async def show(visit: Visit) -> Response:
    """Show one grant."""
    grant = await visit.read(acts.get_grant, visit.name(), visit.now)
    return visit.show(
        "grant.html",
        grant=grant,
        weekly=describe(grant.weekly) if grant.weekly else "",
        may_change=visit.may_change(_domain_of(grant)),
    )


async def add(visit: Visit) -> Response:
    """Make a grant."""
    error: GatelinkError | None = None
    if visit.is_post:
        try:
            made = await visit.write(acts.add_grant, _typed(visit.form), visit.now)
        except GatelinkError as failed:
            error = failed
        else:
            return visit.to(f"/grants/{made.id}", "grant-added")
    kind, _, target = visit.query.text("target").partition(":")
    values: dict[str, Any] = {
        "grant": None,
        "kind": kind or "appliance",
        "target": target,
        "names": await visit.read(_service_names, kind, target, visit.now),
        "zones": ZONES,
        "hours": _hours(visit, None),
    }
    return visit.again("grant_edit.html", error, **values) if error else visit.show("grant_edit.html", **values)


async def edit(visit: Visit) -> Response:
    """Change the terms of a grant."""
    grant = await visit.read(acts.get_grant, visit.name(), visit.now)
    visit.by.must(Permission.CHANGE, _domain_of(grant), "such page")
    error: GatelinkError | None = None
    if visit.is_post:
        try:
            await visit.write(acts.change_grant, grant.id, convert(_terms(visit.form), GrantChange), visit.now)
        except GatelinkError as failed:
            error = failed
        else:
            return visit.to(f"/grants/{grant.id}", "saved")
    values: dict[str, Any] = {
        "grant": grant,
        "kind": grant.target_kind,
        "target": grant.target,
        "names": await visit.read(_service_names, grant.target_kind, grant.target, visit.now),
        "zones": tuple(dict.fromkeys((*((grant.weekly.zone,) if grant.weekly else ()), *ZONES))),
        "hours": _hours(visit, grant.weekly),
    }
    return visit.again("grant_edit.html", error, **values) if error else visit.show("grant_edit.html", **values)


async def end(visit: Visit) -> Response:
    """Ask, then end."""
    grant = await visit.read(acts.get_grant, visit.name(), visit.now)
    if not visit.is_post:
        return visit.ask("grant-end", grant.holder, f"/grants/{grant.id}")
    await visit.write(acts.end_grant, grant.id, visit.now)
    return visit.to(f"/grants/{grant.id}", "grant-ended")


def _typed(form: Form) -> NewGrant:
    holder = form.text("holder")
    kind = form.text("kind")
    if kind not in ("domain", "appliance", "device"):
        raise InputError("a grant is for a domain, an appliance or a device")
    who = {"group": holder} if "/" in holder else {"user": holder}
    return convert({**who, kind: form.text("target"), **_terms(form)}, NewGrant)


def _terms(form: Form) -> dict[str, Any]:
    zone = form.text("zone", "UTC")
    services = tuple(dict.fromkeys([*form.all("service"), *form.text("more_services").replace(",", " ").split()]))
    limited = form.text("which") == "some"
    if limited and not services:
        raise InputError("choose at least one service, or all of them")
    return {
        "services": services if limited else None,
        "valid_from": _moment(form.text("valid_from"), zone, "the begin"),
        "valid_until": _moment(form.text("valid_until"), zone, "the end"),
        "weekly": _weekly(form, zone),
        "bridged": form.flag("bridged"),
        "needs_reason": form.flag("needs_reason"),
        "needs_approval": form.flag("needs_approval"),
        "reason": form.text("reason"),
    }


def _weekly(form: Form, zone: str) -> Weekly | None:
    if form.text("hours") != "weekly":
        return None
    windows = [
        {"days": [DAY_NAMES.index(day) for day in days], "begin": begin or "00:00", "end": end or "00:00"}
        for days, begin, end in _lines(form)
        if days
    ]
    if not windows:
        raise InputError("choose the days of the week on which it counts")
    return Weekly(zone=zone, windows=tuple(convert(window, Window) for window in windows))


def _lines(form: Form) -> list[tuple[tuple[str, ...], str, str]]:
    """Return what was typed as days, begin and end, line by line; a line without a day is an empty one."""
    return [
        (
            tuple(day for day in DAY_NAMES if day in form.all(f"day-{number}")),
            form.text(f"begin-{number}"),
            form.text(f"end-{number}"),
        )
        for number in range(MAX_WINDOWS)
        if f"begin-{number}" in form
    ]


def _hours(visit: Visit, weekly: Weekly | None) -> list[tuple[tuple[str, ...], str, str]]:
    """Return the lines of the form for hours within the week: those that there are, and some empty ones."""
    if visit.is_post:
        lines = _lines(visit.form)
    elif weekly is not None:
        lines = [
            (tuple(day for at, day in enumerate(DAY_NAMES) if at in window.days), window.begin, window.end)
            for window in weekly.windows
        ]
    else:
        lines = [(DAY_NAMES[:5], "07:00", "18:00")]
    lines = [line for line in lines if line[0]] or [((), "", "")]
    return (lines + [((), "", "")] * EMPTY_LINES)[:MAX_WINDOWS]


def _moment(text: str, zone: str, what: str) -> float | None:
    """Return Unix time of what a browser's field for date and time holds, by the clock of a zone."""
    if not text:
        return None
    try:
        return datetime.datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone)).timestamp()
    except (ValueError, OSError, LookupError):
        raise InputError(f"{what} must be a date and time of a known zone, got {text[:40]!r} ({zone[:40]})") from None


def _service_names(session: Session, by: Actor, kind: str, target: str, now: float) -> tuple[str, ...]:
    """Return the names of the services that a target has."""
    if not target or kind not in ("domain", "appliance", "device"):
        return ()
    if kind == "device":
        devices: tuple[device_acts.DeviceView, ...] = (device_acts.get_device(session, by, target, now),)
    else:
        wanted: dict[str, Any] = {kind: target}
        devices = device_acts.list_devices(session, by, Paging(limit=500), now, **wanted).items
    return tuple(sorted({service.name for device in devices for service in device.services}))


def _domain_of(grant: GrantView) -> str:
    levels = {"domain": 0, "appliance": 1, "device": 2}[grant.target_kind]
    return "/".join(grant.target.split("/")[: len(grant.target.split("/")) - levels])


PAGES: Final = (
    ("/grants", index, GET),
    ("/grants/add", add, BOTH),
    ("/grants/{id}", show, GET),
    ("/grants/{id}/edit", edit, BOTH),
    ("/grants/{id}/end", end, BOTH),
)

"""Appliances: the list, one of them, and what is done with one."""

from __future__ import annotations

from itertools import pairwise
from typing import Final

from sqlalchemy.orm import Session
from starlette.responses import Response

from gatelink.claims import parse_claim
from gatelink.exceptions import GatelinkError
from gatelink.messages import ApplianceStatus
from gm_server.access.actors import Actor, Permission
from gm_server.acts import appliances as acts
from gm_server.acts import claims as claim_acts
from gm_server.acts import devices as device_acts
from gm_server.acts import grants as grant_acts
from gm_server.acts import history, rollouts
from gm_server.acts import sessions as session_acts
from gm_server.acts.appliances import ApplianceChange, ApplianceDetail
from gm_server.acts.domains import list_domains
from gm_server.acts.paging import Paging
from gm_server.appliances.samples import Sample
from gm_server.web import images
from gm_server.web.forms import convert
from gm_server.web.visits import Visit

GET: Final = ["GET"]
BOTH: Final = ["GET", "POST"]
POST: Final = ["POST"]
DAY_S: Final = 86400.0
PERIODS: Final = {"day": DAY_S, "week": 7 * DAY_S, "month": 30 * DAY_S}
SUGGESTED: Final = 200
"""Domains that a form suggests."""


async def index(visit: Visit) -> Response:
    """Show the list."""
    state, domain = visit.query.text("state"), visit.query.text("domain")
    online = visit.live.online_ids()
    page = await visit.read(
        acts.list_appliances,
        visit.paging(),
        visit.now,
        domain=domain,
        state="active" if state in ("online", "offline") else (state or None),  # type: ignore[arg-type]
        only=online if state == "online" else None,
        without=online if state == "offline" else None,
    )
    return visit.show("appliances.html", page=page, online=online, state=state, domain=domain)


async def show(visit: Visit) -> Response:
    """Show one appliance."""
    period = visit.query.text("period", "day")
    since = visit.now - PERIODS.get(period, DAY_S)
    found = await visit.read(_look, visit.name(), visit.now, since)
    appliance, live = found.appliance, visit.live.appliance(found.appliance.id)
    return visit.show(
        "appliance.html",
        appliance=appliance,
        live=live,
        status=found.status,
        devices=found.devices,
        sessions=found.sessions,
        open_sessions=[one for one in visit.live.sessions() if one.appliance_id == appliance.id],
        grants=found.grants,
        events=found.events,
        update=found.update,
        period=period if period in PERIODS else "day",
        latency=_latency(visit, found.samples, since),
        traffic=_traffic(visit, found.samples, since),
        may_change=visit.may_change(appliance.domain),
    )


class _Found(history.ApplianceHistory, frozen=True, kw_only=True):
    appliance: ApplianceDetail
    status: ApplianceStatus | None
    devices: tuple[device_acts.DeviceView, ...]
    sessions: tuple[session_acts.SessionView, ...]
    grants: tuple[grant_acts.GrantView, ...]
    update: rollouts.TargetView | None


def _look(session: Session, by: Actor, reference: str, now: float, since: float) -> _Found:
    appliance = acts.get_appliance(session, by, reference, now)
    whole = by.may(Permission.SEE, appliance.domain)
    past = history.of_appliance(session, by, appliance.id, since) if whole else history.ApplianceHistory()
    few = Paging(limit=8)
    return _Found(
        samples=past.samples,
        events=past.events,
        appliance=appliance,
        status=history.status_in(appliance.status),
        devices=device_acts.list_devices(session, by, Paging(limit=500), now, appliance=appliance.id).items,
        sessions=session_acts.list_sessions(session, by, few, now, appliance=appliance.id, live=False).items,
        update=rollouts.last_of_appliance(session, by, appliance.id) if whole else None,
        grants=grant_acts.list_grants(session, by, few, now, appliance=appliance.id, state="valid").items
        if whole
        else (),
    )


async def add(visit: Visit) -> Response:
    """Make a new appliance, and the claim by which its SiteManager comes in."""
    error = None
    if visit.is_post:
        form = visit.form
        try:
            made = await visit.write(_add, visit, form.text("domain"), form.text("name"), form.text("note"))
        except GatelinkError as failed:
            error = failed
        else:
            return show_claim(visit, *made)
    domains = await visit.read(list_domains, Paging(limit=SUGGESTED), visit.now)
    if error is not None:
        return visit.again("appliance_add.html", error, domains=domains)
    return visit.show("appliance_add.html", domains=domains)


def _add(session: Session, by: Actor, visit: Visit, domain: str, name: str, note: str) -> tuple[str, str, str, float]:
    appliance = acts.add_appliance(session, by, domain, name, visit.now, note)
    return _claim(session, by, visit, appliance.id, replace=False)


async def claim(visit: Visit) -> Response:
    """Make another claim: for a SiteManager that has not come yet, or one that takes another's place."""
    appliance = await visit.read(acts.get_appliance, visit.name(), visit.now)
    if not visit.is_post:
        return visit.show("claim_ask.html", appliance=appliance)
    return show_claim(visit, *await visit.write(_claim, visit, appliance.id, replace=appliance.state == "active"))


def _claim(
    session: Session, by: Actor, visit: Visit, appliance_id: str, *, replace: bool
) -> tuple[str, str, str, float]:
    days = visit.form.number("days", "the number of days") or 7
    sender = visit.portal.sender()
    made = claim_acts.create_claim(session, by, appliance_id, sender, days, visit.now, replace=replace)
    return made.appliance_id, made.appliance, made.text, made.expires_at


def show_claim(visit: Visit, appliance_id: str, path: str, text: str, expires_at: float) -> Response:
    """Show a claim, this once."""
    code = images.qr_code(text, visit.gettext("The claim as a QR code"))
    return visit.show("claim.html", appliance_id=appliance_id, name=path, text=text, expires_at=expires_at, code=code)


async def claim_file(visit: Visit) -> Response:
    """Give a claim that is on the visitor's screen back to him as a file."""
    text = visit.form.text("claim")
    parse_claim(text, "appliance")
    headers = {"Content-Disposition": 'attachment; filename="gatelink-claim.txt"'}
    return Response(text + "\n", media_type="text/plain; charset=utf-8", headers=headers)


async def edit(visit: Visit) -> Response:
    """Rename, move, note."""
    appliance = await visit.read(acts.get_appliance, visit.name(), visit.now)
    visit.by.must(Permission.CHANGE, appliance.domain, "such page")
    error: GatelinkError | None = None
    if visit.is_post:
        form = visit.form
        try:
            change = convert(
                {
                    "name": form.text("name"),
                    "domain": form.text("domain"),
                    "note": form.text("note").replace("\r\n", "\n"),
                    "offline_alarm_minutes": form.number("offline_alarm_minutes", "the minutes"),
                },
                ApplianceChange,
            )
            await visit.write(acts.change_appliance, appliance.id, change, visit.now)
        except GatelinkError as failed:
            error = failed
        else:
            return visit.to(f"/appliances/{appliance.id}", "saved")
    domains = await visit.read(list_domains, Paging(limit=SUGGESTED), visit.now)
    if error is not None:
        return visit.again("appliance_edit.html", error, appliance=appliance, domains=domains)
    return visit.show("appliance_edit.html", appliance=appliance, domains=domains)


async def revoke(visit: Visit) -> Response:
    """Ask, then revoke."""
    appliance = await visit.read(acts.get_appliance, visit.name(), visit.now)
    if not visit.is_post:
        return visit.ask("appliance-revoke", appliance.path, f"/appliances/{appliance.id}")
    await visit.write(acts.revoke_appliance, appliance.id, visit.now)
    return visit.to(f"/appliances/{appliance.id}", "appliance-revoked")


async def remove(visit: Visit) -> Response:
    """Ask, then remove."""
    appliance = await visit.read(acts.get_appliance, visit.name(), visit.now)
    if not visit.is_post:
        return visit.ask("appliance-remove", appliance.path, f"/appliances/{appliance.id}", count=appliance.devices)
    await visit.write(acts.remove_appliance, appliance.id, visit.now)
    return visit.to("/appliances", "appliance-removed")


async def waiting(visit: Visit) -> Response:
    """Show who came without a claim."""
    page = await visit.read(claim_acts.list_waiting, visit.paging())
    domains = await visit.read(list_domains, Paging(limit=SUGGESTED), visit.now)
    return visit.show("waiting.html", page=page, domains=domains, failed="")


async def adopt(visit: Visit) -> Response:
    """Make an appliance of one who waits."""
    form = visit.form
    try:
        made = await visit.write(claim_acts.adopt, visit.name(), form.text("domain"), form.text("name"), visit.now)
    except GatelinkError as error:
        page = await visit.read(claim_acts.list_waiting, visit.paging())
        domains = await visit.read(list_domains, Paging(limit=SUGGESTED), visit.now)
        return visit.again("waiting.html", error, page=page, domains=domains, failed=visit.name())
    return visit.to(f"/appliances/{made.id}", "adopted")


async def turn_away(visit: Visit) -> Response:
    """Take one who waits off the list."""
    if not visit.is_post:
        return visit.ask("waiting-turn-away", visit.name(), "/appliances/waiting")
    await visit.write(claim_acts.turn_away, visit.name(), visit.now)
    return visit.to("/appliances/waiting", "turned-away")


def _latency(visit: Visit, samples: tuple[Sample, ...], since: float) -> str:
    points = [images.Point(sample.at, sample.latency_ms if sample.online else None) for sample in samples]
    curve = images.Curve("first", visit.gettext("Latency"), points)
    return images.plot(visit.gettext("Latency over time"), [curve], since, visit.now, "ms", _gaps(samples))


def _traffic(visit: Visit, samples: tuple[Sample, ...], since: float) -> str:
    up, down = [], []
    for before, sample in pairwise(samples):
        seconds = max(sample.at - before.at, 1.0)
        up.append(images.Point(sample.at, sample.bytes_from_users * 8 / seconds))
        down.append(images.Point(sample.at, sample.bytes_from_appliance * 8 / seconds))
    curves = [
        images.Curve("first", visit.gettext("from the appliance"), down),
        images.Curve("second", visit.gettext("to the appliance"), up),
    ]
    return images.plot(visit.gettext("Traffic over time"), curves, since, visit.now, "bit/s", _gaps(samples))


def _gaps(samples: tuple[Sample, ...]) -> list[images.Span]:
    """Return when it was offline: from the first sample that says so until the next that does not."""
    spans: list[images.Span] = []
    begin: float | None = None
    for sample in samples:
        if not sample.online and begin is None:
            begin = sample.at
        elif sample.online and begin is not None:
            spans.append(images.Span(begin, sample.at))
            begin = None
    return [*spans, images.Span(begin, samples[-1].at)] if begin is not None else spans


PAGES: Final = (
    ("/appliances", index, GET),
    ("/appliances/add", add, BOTH),
    ("/appliances/waiting", waiting, GET),
    ("/appliances/waiting/{id}/adopt", adopt, POST),
    ("/appliances/waiting/{id}/turn-away", turn_away, BOTH),
    ("/appliances/claim-file", claim_file, POST),
    ("/appliances/{id}", show, GET),
    ("/appliances/{id}/edit", edit, BOTH),
    ("/appliances/{id}/claim", claim, BOTH),
    ("/appliances/{id}/revoke", revoke, BOTH),
    ("/appliances/{id}/remove", remove, BOTH),
)

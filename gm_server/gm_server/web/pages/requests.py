"""Requests for access: made, decided, withdrawn."""

from __future__ import annotations

from typing import Any, Final

from starlette.responses import Response

from gatelink.exceptions import GatelinkError
from gm_server.acts import appliances as appliance_acts
from gm_server.acts import requests as acts
from gm_server.acts.paging import Paging
from gm_server.acts.requests import NewRequest
from gm_server.web.forms import convert
from gm_server.web.visits import Visit

GET: Final = ["GET"]
BOTH: Final = ["GET", "POST"]
POST: Final = ["POST"]
HOURS: Final = (1, 2, 4, 8, 24, 72)


async def index(visit: Visit) -> Response:
    """Show the requests; those that wait first."""
    state = visit.query.text("state")
    page = await visit.read(acts.list_requests, visit.paging(), visit.now, state=state or None)  # type: ignore[arg-type]
    waiting = await visit.read(acts.list_requests, Paging(limit=50), visit.now, state="waiting")
    return visit.show("requests.html", page=page, waiting=waiting, state=state)


async def show(visit: Visit) -> Response:
    """Show one request."""
    return visit.show("request.html", one=await visit.read(acts.get_request, visit.name()))


async def add(visit: Visit) -> Response:
    """Ask for access."""
    appliances = await visit.read(appliance_acts.list_appliances, Paging(limit=200), visit.now)
    if visit.is_post:
        form = visit.form
        try:
            appliance = await visit.read(appliance_acts.get_appliance, form.text("appliance"), visit.now)
            wanted: dict[str, Any] = {
                "appliance": appliance.id,
                "reason": form.text("reason"),
                "duration_s": (form.number("hours", "the hours") or 4) * 3600.0,
            }
            made = await visit.write(acts.make_request, convert(wanted, NewRequest), visit.portal.letters(), visit.now)
        except GatelinkError as error:
            return visit.again("request_add.html", error, appliances=appliances, hours=HOURS)
        return visit.to(f"/requests/{made.id}", "request-made")
    return visit.show("request_add.html", appliances=appliances, hours=HOURS)


async def approve(visit: Visit) -> Response:
    """Let it be."""
    letters = visit.portal.letters()
    try:
        made = await visit.write(acts.approve, visit.name(), visit.form.text("text"), letters, visit.now)
    except GatelinkError as error:
        return visit.again("request.html", error, one=await visit.read(acts.get_request, visit.name()))
    return visit.to(f"/requests/{made.id}", "request-approved")


async def deny(visit: Visit) -> Response:
    """Let it not be."""
    letters = visit.portal.letters()
    try:
        made = await visit.write(acts.deny, visit.name(), visit.form.text("text"), letters, visit.now)
    except GatelinkError as error:
        return visit.again("request.html", error, one=await visit.read(acts.get_request, visit.name()))
    return visit.to(f"/requests/{made.id}", "request-denied")


async def withdraw(visit: Visit) -> Response:
    """Take one's own back."""
    made = await visit.write(acts.withdraw, visit.name(), visit.now)
    return visit.to(f"/requests/{made.id}", "request-withdrawn")


PAGES: Final = (
    ("/requests", index, GET),
    ("/requests/add", add, BOTH),
    ("/requests/{id}", show, GET),
    ("/requests/{id}/approve", approve, POST),
    ("/requests/{id}/deny", deny, POST),
    ("/requests/{id}/withdraw", withdraw, POST),
)

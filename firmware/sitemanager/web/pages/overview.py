"""The first page: what works, what does not, and why; who is connected and what for."""

from __future__ import annotations

from typing import Any, Final

from starlette.responses import Response

from sitemanager.core.local_requests import EnrolmentAnswer, EnrolmentRequest, StatusRequest
from sitemanager.core.status import Status
from sitemanager.web.visit import Visit


async def home(visit: Visit) -> Response:
    """Go where this unit is: to the wizard, or to its status."""
    status = await visit.ask(StatusRequest(), Status)
    return visit.go("/status" if status.enrolled else "/setup")


async def overview(visit: Visit) -> Response:
    """Show all of it."""
    return await visit.page("status.html", **await _content(visit))


async def live(visit: Visit) -> Response:
    """The part of the page that changes."""
    return visit.plain("status_live.html", **await _content(visit))


async def _content(visit: Visit) -> dict[str, Any]:
    now = await visit.ask(StatusRequest(), Status)
    enrolment = await visit.ask(EnrolmentRequest(), EnrolmentAnswer)
    return {"now": now, "enrolment": enrolment}


ROUTES: Final = (
    ("/", ["GET"], home),
    ("/status", ["GET"], overview),
    ("/status/live", ["GET"], live),
)

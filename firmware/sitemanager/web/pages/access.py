"""The remote access lock: locked, allowed, or allowed for some minutes; who is connected now."""

from __future__ import annotations

from typing import Final

from starlette.responses import Response

from sitemanager.core.local_requests import LockRequest, StatusRequest
from sitemanager.core.status import Status
from sitemanager.web.visit import Visit

CHOICES_MIN: Final = (15, 60, 240, 480)


async def access(visit: Visit) -> Response:
    """Show it and change it."""
    if visit.request.method == "POST":
        form = await visit.read()
        choice, minutes = form.text("choice"), form.number("minutes")
        if choice in ("lock", "allow"):
            await visit.ask(LockRequest(locked=choice == "lock"), Status)
        elif choice == "for" and isinstance(minutes, int) and 1 <= minutes <= 1440:
            await visit.ask(LockRequest(locked=False, minutes=minutes), Status)
        return visit.go("/access")
    status = await visit.ask(StatusRequest(), Status)
    return await visit.page("access.html", now=status, choices=CHOICES_MIN)


ROUTES: Final = (("/access", ["GET", "POST"], access),)

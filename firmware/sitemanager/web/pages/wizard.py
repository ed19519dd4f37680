"""The first run: the way out of the site, the GateManager, the test, done."""

from __future__ import annotations

from typing import Any, Final

from starlette.responses import JSONResponse, Response

from sitemanager.core.local_requests import (
    CancelEnrolmentRequest,
    ConfigAnswer,
    ConfigRequest,
    EnrolmentAnswer,
    EnrolmentRequest,
    EnrolRequest,
    PortsAnswer,
    PortsRequest,
    StatusRequest,
)
from sitemanager.core.status import Status
from sitemanager.web.daemon import NotDone
from sitemanager.web.visit import Visit

from .gatemanager import proxies
from .trial import try_values

STEPS: Final = (("setup", "Way out"), ("claim", "GateManager"), ("test", "Test"), ("done", "Done"))


async def way_out(visit: Visit) -> Response:
    """Step 1: the ports, and a proxy where the site has one."""
    config = await visit.ask(ConfigRequest(), ConfigAnswer)
    values, error = config.values, ""
    if visit.request.method == "POST":
        form = await visit.read()
        changed = {"dev_interfaces": form.all("dev_interfaces"), "proxies": proxies(form)}
        if all(values[key] == content for key, content in changed.items()):
            return visit.go("/setup/claim")
        try:
            return await try_values(visit, changed, "/setup")
        except NotDone as refused:
            error, values = str(refused), {**values, **changed}
    answer = await visit.ask(PortsRequest(), PortsAnswer)
    return await visit.page(
        "setup_way_out.html",
        status=409 if error else 200,
        steps=STEPS,
        step="setup",
        config=values,
        ports=answer.ports,
        error=error,
    )


async def claim(visit: Visit) -> Response:
    """Step 2: a claim, or an address that is trusted as it comes."""
    error, address = "", ""
    if visit.request.method == "POST":
        form = await visit.read()
        address = form.text("address")
        request = EnrolRequest(claim=form.text("claim")[:8192], address="" if form.text("claim") else address[:253])
        try:
            await visit.ask(request, EnrolmentAnswer)
        except NotDone as refused:
            error = str(refused)
        else:
            return visit.go("/setup/test")
    enrolment = await visit.ask(EnrolmentRequest(), EnrolmentAnswer)
    if enrolment.phase == "enrolled":
        return visit.go("/setup/test")
    return await visit.page(
        "setup_claim.html",
        status=409 if error else 200,
        steps=STEPS,
        step="claim",
        enrolment=enrolment,
        address=address,
        error=error,
    )


async def test(visit: Visit) -> Response:
    """Step 3: enrolled, and connected?"""
    return await visit.page("setup_test.html", steps=STEPS, step="test", **await _progress(visit))


async def progress(visit: Visit) -> Response:
    """How it goes: the part of step 3 that changes."""
    content = await _progress(visit)
    if visit.request.headers.get("accept", "").startswith("application/json"):
        return JSONResponse({"phase": content["phase"]})
    return visit.plain("setup_progress.html", **content)


async def cancel(visit: Visit) -> Response:
    """Give up, and begin again at step 2."""
    await visit.read()
    await visit.ask(CancelEnrolmentRequest(), EnrolmentAnswer)
    return visit.go("/setup/claim")


async def done(visit: Visit) -> Response:
    """Step 4: what was set up."""
    now = await visit.ask(StatusRequest(), Status)
    return await visit.page("setup_done.html", steps=STEPS, step="done", now=now)


async def _progress(visit: Visit) -> dict[str, Any]:
    enrolment = await visit.ask(EnrolmentRequest(), EnrolmentAnswer)
    now = await visit.ask(StatusRequest(), Status)
    phase = "connected" if enrolment.phase == "enrolled" and now.connected else enrolment.phase
    return {"enrolment": enrolment, "now": now, "phase": phase}


ROUTES: Final = (
    ("/setup", ["GET", "POST"], way_out),
    ("/setup/claim", ["GET", "POST"], claim),
    ("/setup/test", ["GET"], test),
    ("/setup/progress", ["GET"], progress),
    ("/setup/cancel", ["POST"], cancel),
    ("/setup/done", ["GET"], done),
)

"""Firmware: bundles, uploads, roll-outs."""

from __future__ import annotations

from typing import Any, Final

import msgspec
from sqlalchemy.orm import Session
from starlette.requests import ClientDisconnect
from starlette.responses import Response

from gatelink.exceptions import GatelinkError
from gm_server.access.actors import Actor
from gm_server.acts import firmware as acts
from gm_server.acts import rollouts as rollout_acts
from gm_server.acts.domains import list_domains
from gm_server.acts.paging import Paging
from gm_server.acts.rollouts import NewRollout
from gm_server.web.forms import convert
from gm_server.web.visits import Visit, status_of

GET: Final = ["GET"]
BOTH: Final = ["GET", "POST"]
POST: Final = ["POST"]
UPLOAD: Final = "/firmware/upload"
SUGGESTED: Final = 200
"""Domains that a form suggests."""
_SHOWN: Final = 20
"""Roll-outs on the first page."""


async def index(visit: Visit) -> Response:
    """Show bundles and roll-outs, and take more."""

    def look(session: Session, by: Actor) -> dict[str, Any]:
        return {
            "page": acts.list_bundles(session, by, visit.live.uploads.files, visit.paging()),
            "rollouts": rollout_acts.list_rollouts(session, by, Paging(limit=_SHOWN)).items,
            "domains": list_domains(session, by, Paging(limit=SUGGESTED), visit.now),
        }

    values = await visit.read(look)
    return visit.show("firmware.html", **values, may_upload=_administers(visit), upload=UPLOAD)


async def upload(visit: Visit) -> Response:
    """Take a bundle that a script of the page sends, and answer to that script."""
    domain = visit.query.text("domain")
    try:
        await visit.read(acts.check_upload, domain)
        goes_on = getattr(visit.request.state, "goes_on", _nothing)
        uploads = visit.live.uploads
        async with uploads.receive(visit.request.stream(), goes_on) as received:
            made = await visit.write(acts.add_bundle, uploads.files, received, domain, visit.portal.clock())
    except GatelinkError as error:
        return _json({"error": str(error)}, status_of(error))
    except (ClientDisconnect, TimeoutError):
        return _json({"error": "the file did not come"}, 408)
    return _json({"to": f"/firmware/{made.id}/roll-out?done=firmware-added"}, 200)


async def remove(visit: Visit) -> Response:
    """Ask, then remove."""
    bundle = await visit.read(acts.get_bundle, visit.live.uploads.files, visit.name())
    if not visit.is_post:
        return visit.ask("firmware-remove", f"{bundle.board} {bundle.version}", "/firmware")
    removed = await visit.write(acts.remove_bundle, bundle.id, visit.now)
    visit.live.uploads.files.remove(removed)
    return visit.to("/firmware", "firmware-removed")


async def roll_out(visit: Visit) -> Response:
    """Ask to whom and how, then begin."""
    files = visit.live.uploads.files
    bundle = await visit.read(acts.get_bundle, files, visit.name())
    error = None
    if visit.is_post:
        try:
            made = await visit.write(rollout_acts.start_rollout, files, _wanted(visit, bundle.id), visit.now)
        except GatelinkError as failed:
            error = failed
        else:
            return visit.to(f"/rollouts/{made.id}", "rollout-started")
    domains = await visit.read(list_domains, Paging(limit=SUGGESTED), visit.now)
    if error is not None:
        return visit.again("rollout_add.html", error, bundle=bundle, domains=domains)
    return visit.show("rollout_add.html", bundle=bundle, domains=domains)


def _wanted(visit: Visit, bundle_id: str) -> NewRollout:
    form = visit.form
    named = form.text("target") == "appliances"
    fields = {
        "bundle": bundle_id,
        "domain": "" if named else form.text("domain"),
        "appliances": [line.strip() for line in form.text("appliances").splitlines() if line.strip()] if named else [],
        "wave_size": form.number("wave_size", "how many at the same time") or 5,
        "stop_after_failures": form.number("stop_after_failures", "the failures") or 1,
        "allow_older": form.flag("allow_older"),
        "during_sessions": form.flag("during_sessions"),
    }
    return convert(fields, NewRollout)


async def show(visit: Visit) -> Response:
    """Show a roll-out with every appliance of it."""

    def look(session: Session, by: Actor) -> dict[str, Any]:
        rollout = rollout_acts.get_rollout(session, by, visit.name())
        return {"rollout": rollout, "page": rollout_acts.list_targets(session, by, rollout.id, visit.paging(100))}

    values = await visit.read(look)
    may_change = visit.may_change(values["rollout"].domain)
    return visit.show("rollout.html", **values, online=visit.live.online_ids(), may_change=may_change)


async def stop(visit: Visit) -> Response:
    """Ask, then stop."""
    rollout = await visit.read(rollout_acts.get_rollout, visit.name())
    if not visit.is_post:
        return visit.ask("rollout-stop", rollout.version, f"/rollouts/{rollout.id}")
    await visit.write(rollout_acts.stop_rollout, rollout.id, visit.now)
    return visit.to(f"/rollouts/{rollout.id}", "rollout-stopped")


async def resume(visit: Visit) -> Response:
    """Go on."""
    await visit.write(rollout_acts.resume_rollout, visit.live.uploads.files, visit.name(), visit.now)
    return visit.to(f"/rollouts/{visit.name()}", "rollout-resumed")


def _administers(visit: Visit) -> bool:
    return any(role.name == "administrator" for role in visit.by.roles)


def _nothing() -> None:
    """Nobody is waiting."""


def _json(fields: dict[str, str], status: int) -> Response:
    return Response(msgspec.json.encode(fields), status, media_type="application/json")


PAGES: Final = (
    ("/firmware", index, GET),
    ("/firmware/{id}/remove", remove, BOTH),
    ("/firmware/{id}/roll-out", roll_out, BOTH),
    ("/rollouts/{id}", show, GET),
    ("/rollouts/{id}/stop", stop, BOTH),
    ("/rollouts/{id}/resume", resume, POST),
)

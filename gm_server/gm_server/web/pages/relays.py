"""Permanent relays: which there are, how they are, and what they are to be."""

from __future__ import annotations

from typing import Any, Final

from starlette.responses import Response

from gatelink.exceptions import GatelinkError
from gm_server.access.actors import Permission
from gm_server.acts import relays as acts
from gm_server.acts.paging import Page
from gm_server.acts.relays import NewRelay, RelayChange, RelayView
from gm_server.web.forms import Form, convert
from gm_server.web.visits import Visit

GET: Final = ["GET"]
BOTH: Final = ["GET", "POST"]


async def index(visit: Visit) -> Response:
    """Show the list."""
    page = await visit.read(acts.list_relays, visit.paging(), visit.now)
    seen = Page(tuple(_observed(visit, relay) for relay in page.items), page.next, page.total)
    return visit.show("relays.html", page=seen)


async def show(visit: Visit) -> Response:
    """Show one relay."""
    relay = _observed(visit, await visit.read(acts.get_relay, visit.name(), visit.now))
    return visit.show("relay.html", relay=relay, may_change=visit.may_change(_domain_of(relay)))


async def add(visit: Visit) -> Response:
    """Make a relay."""
    values: dict[str, Any] = {"relay": None, "device": visit.query.text("device")}
    if not visit.is_post:
        return visit.show("relay_edit.html", **values)
    try:
        form = visit.form
        typed = {"device": form.text("device"), "direction": form.text("direction"), **_typed(form)}
        made = await visit.write(acts.add_relay, convert(typed, NewRelay), visit.now)
    except GatelinkError as error:
        return visit.again("relay_edit.html", error, **values)
    return visit.to(f"/relays/{made.id}", "relay-added")


async def edit(visit: Visit) -> Response:
    """Change a relay."""
    relay = await visit.read(acts.get_relay, visit.name(), visit.now)
    visit.by.must(Permission.CHANGE, _domain_of(relay), "such page")
    values: dict[str, Any] = {"relay": relay, "device": relay.device}
    if not visit.is_post:
        return visit.show("relay_edit.html", **values)
    try:
        typed = _typed(visit.form)
        if relay.direction == "push":
            del typed["service"], typed["device_port"]
        await visit.write(acts.change_relay, relay.id, convert(typed, RelayChange), visit.now)
    except GatelinkError as error:
        return visit.again("relay_edit.html", error, **values)
    return visit.to(f"/relays/{relay.id}", "saved")


async def remove(visit: Visit) -> Response:
    """Ask, then remove."""
    relay = await visit.read(acts.get_relay, visit.name(), visit.now)
    if not visit.is_post:
        return visit.ask("relay-remove", relay.name, f"/relays/{relay.id}")
    await visit.write(acts.remove_relay, relay.id, visit.now)
    return visit.to("/relays", "relay-removed")


def _typed(form: Form) -> dict[str, Any]:
    pull = form.text("direction", "pull") == "pull"
    return {
        "name": form.text("name"),
        "user": form.text("user"),
        "port": form.number("port", "the port") or 0,
        "service": form.text("service") if pull else "",
        "device_port": (form.number("device_port", "the device's port") or 0) if pull else 0,
        "enabled": form.flag("enabled"),
        "note": form.text("note"),
    }


def _observed(visit: Visit, relay: RelayView) -> RelayView:
    return acts.observed(relay, visit.live.relay(relay.id, relay.appliance_id))


def _domain_of(relay: RelayView) -> str:
    return relay.device.rsplit("/", 2)[0]


PAGES: Final = (
    ("/relays", index, GET),
    ("/relays/add", add, BOTH),
    ("/relays/{id}", show, GET),
    ("/relays/{id}/edit", edit, BOTH),
    ("/relays/{id}/remove", remove, BOTH),
)

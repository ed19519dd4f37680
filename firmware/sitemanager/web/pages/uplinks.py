"""The ways out of the site: which one is in use and why, their addresses and their order; one more, one less."""

from __future__ import annotations

from typing import Any, Final

from starlette.responses import Response

from sitemanager.core.local_requests import ConfigAnswer, ConfigRequest, PortsAnswer, PortsRequest
from sitemanager.core.uplink_requests import UplinksAnswer, UplinksRequest
from sitemanager.web.daemon import NotDone
from sitemanager.web.forms import Form
from sitemanager.web.visit import Visit

from .trial import try_values

NEW: Final[dict[str, Any]] = {
    "dhcp": True,
    "dns": [],
    **dict.fromkeys(("address", "gateway", "ssid", "passphrase", "apn", "apn_user", "apn_password", "pin"), ""),
}


async def uplinks(visit: Visit) -> Response:
    """Show them and try a change."""
    config = await visit.ask(ConfigRequest(), ConfigAnswer)
    entries: list[dict[str, Any]] = list(config.values["uplinks"])
    error, opened = "", ""
    if visit.request.method == "POST":
        form = await visit.read()
        changed, opened = changed_by(form, entries), form.text("name")
        try:
            return await try_values(visit, {"uplinks": changed}, "/uplinks")
        except NotDone as refused:
            error = str(refused)
            # What was typed stays on the page, beside the reason why it was refused.
            typed_in = {entry["name"]: entry for entry in changed}
            entries = [typed_in.get(entry["name"], entry) for entry in entries]
            added = typed_in.get(opened)
    ports = (await visit.ask(PortsRequest(), PortsAnswer)).ports
    used = {entry["interface"] for entry in entries} | set(config.values["dev_interfaces"])
    others = [
        (port, added if error and added and added["interface"] == port.name else new(port.name))
        for port in ports
        if port.name not in used
    ]
    return await visit.page(
        "uplinks.html",
        status=409 if error else 200,
        **await _states(visit),
        entries=entries,
        others=others,
        ways=[port for port in ports if port.default],
        machine=config.values,
        opened=opened,
        error=error,
    )


async def live(visit: Visit) -> Response:
    """The part of the page that changes."""
    return visit.plain("uplinks_live.html", **await _states(visit))


def changed_by(form: Form, entries: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the list of uplinks as the form wants it."""
    name, choice = form.text("name"), form.text("choice")
    place = next((number for number, entry in enumerate(entries) if entry["name"] == name), len(entries))
    rest = [entry for entry in entries if entry["name"] != name]
    if choice == "remove":
        return rest
    if choice == "up" and place < len(entries):
        place, entry = max(0, place - 1), entries[place]
    else:
        known = entries[place] if place < len(entries) else {}
        entry = {**known, **typed(form)}
    return [*rest[:place], entry, *rest[place:]]


def typed(form: Form) -> dict[str, Any]:
    """Return the settings in the form; an address is one only where a fixed one was chosen."""
    kind, origin = form.text("kind") or "ethernet", form.text("origin")
    is_fixed = origin == "fixed"
    wifi = {key: form.raw(key) if kind == "wifi" else "" for key in ("ssid", "passphrase")}
    modem = {key: form.text(key) if kind == "modem" else "" for key in ("apn", "apn_user", "apn_password", "pin")}
    return {
        "name": form.text("name"),
        "interface": form.text("interface"),
        "kind": kind,
        "dhcp": origin == "dhcp",
        "address": form.text("address") if is_fixed else "",
        "gateway": form.text("gateway") if is_fixed else "",
        "dns": form.text("dns").replace(",", " ").split(),
        **wifi,
        **modem,
    }


def new(interface: str) -> dict[str, Any]:
    """Return what a port that is not used yet is offered as; kernels name their ports by kind."""
    kind = {"wl": "wifi", "ww": "modem"}.get(interface[:2], "ethernet")
    return {**NEW, "name": interface, "interface": interface, "kind": kind, "dhcp": kind != "modem"}


async def _states(visit: Visit) -> dict[str, Any]:
    answer = await visit.ask(UplinksRequest(), UplinksAnswer)
    return {"uplinks": answer.uplinks}


ROUTES: Final = (
    ("/uplinks", ["GET", "POST"], uplinks),
    ("/uplinks/live", ["GET"], live),
)

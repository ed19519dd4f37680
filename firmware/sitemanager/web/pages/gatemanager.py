"""The GateManager: where it is, by which port and proxy, who it is; and to forget it."""

from __future__ import annotations

from typing import Any, Final

from starlette.responses import Response

from sitemanager.core.local import DoneAnswer
from sitemanager.core.local_requests import ConfigAnswer, ConfigRequest, ForgetRequest, StatusRequest
from sitemanager.core.status import Status
from sitemanager.web.daemon import NotDone
from sitemanager.web.forms import Form
from sitemanager.web.visit import Visit

from .trial import try_values

USUAL_PORTS: Final = (11444, 443, 80)


async def gatemanager(visit: Visit) -> Response:
    """Show it and try a change."""
    config = await visit.ask(ConfigRequest(), ConfigAnswer)
    values, error = config.values, ""
    if visit.request.method == "POST":
        form = await visit.read()
        changed = typed(form)
        try:
            return await try_values(visit, changed, "/gatemanager")
        except NotDone as refused:
            error, values = str(refused), {**values, **changed}
    now = await visit.ask(StatusRequest(), Status)
    status = 409 if error else 200
    return await visit.page(
        "gatemanager.html", status=status, config=values, now=now, usual_ports=USUAL_PORTS, error=error
    )


async def forget(visit: Visit) -> Response:
    """Forget the GateManager and who this unit is to it."""
    form = await visit.read()
    if form.text("sure") != "forget":
        return visit.go("/gatemanager")
    answer = await visit.ask(ForgetRequest(), DoneAnswer)
    return visit.plain("restarting.html", text=answer.text)


def typed(form: Form) -> dict[str, Any]:
    """Return the keys that the form changes."""
    preferred = form.number("preferred_port")
    words = [word for word in form.text("ports").replace(",", " ").split() if word]
    ports: list[int | str] = [int(word) if word.isascii() and word.isdigit() else word for word in words]
    if preferred in ports:
        ports.remove(preferred)
    if preferred:
        ports.insert(0, preferred)
    return {
        "gm_addresses": form.text("gm_addresses").replace(",", " ").split(),
        "ports": ports,
        "proxies": proxies(form),
    }


def proxies(form: Form) -> list[dict[str, Any]]:
    """Return the proxies; a row without a host is none."""
    found: list[dict[str, Any]] = []
    rows = zip(
        form.all("proxy_host"),
        form.all("proxy_port"),
        form.all("proxy_username"),
        form.all("proxy_password"),
        strict=False,
    )
    for host, port, username, password in rows:
        if host:
            number: int | str = int(port) if port.isascii() and port.isdigit() else port
            found.append({"host": host, "port": number, "username": username, "password": password})
    return found


ROUTES: Final = (
    ("/gatemanager", ["GET", "POST"], gatemanager),
    ("/gatemanager/forget", ["POST"], forget),
)

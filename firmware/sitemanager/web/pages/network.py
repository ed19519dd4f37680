"""The unit's ports: which one leads to the machine, its address there, and the addresses given out on it."""

from __future__ import annotations

from typing import Any, Final

from starlette.responses import Response

from sitemanager.core.local_requests import ConfigAnswer, ConfigRequest, PortsAnswer, PortsRequest
from sitemanager.web.daemon import NotDone
from sitemanager.web.visit import Visit

from .trial import try_values


async def network(visit: Visit) -> Response:
    """Show it and try a change."""
    config = await visit.ask(ConfigRequest(), ConfigAnswer)
    values, error = config.values, ""
    if visit.request.method == "POST":
        await visit.read()
        changed = typed(visit)
        try:
            return await try_values(visit, changed, "/network")
        except NotDone as refused:
            error, values = str(refused), {**values, **changed}
    ports = await visit.ask(PortsRequest(), PortsAnswer)
    status = 409 if error else 200
    return await visit.page("network.html", status=status, config=values, ports=ports.ports, error=error)


def typed(visit: Visit) -> dict[str, Any]:
    """Return the keys that the form changes."""
    form = visit.form
    return {
        "dev_interfaces": form.all("dev_interfaces"),
        "dev_address": form.text("dev_address"),
        "dhcp": {
            "enabled": form.is_on("dhcp_enabled"),
            "first": form.text("dhcp_first"),
            "last": form.text("dhcp_last"),
            "lease_s": 3600,
        },
    }


ROUTES: Final = (("/network", ["GET", "POST"], network),)

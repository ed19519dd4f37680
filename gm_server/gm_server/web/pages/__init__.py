"""The pages, one module for each part of the portal. Each has ``PAGES``: addresses, and what makes the page there."""

from __future__ import annotations

from starlette.routing import BaseRoute, Route

from gm_server.web.streams import live
from gm_server.web.visits import Portal

from . import appliances, devices, domains, firmware, grants, overview, people, records, relays, requests, settings

PAGES = (
    *overview.PAGES,
    *appliances.PAGES,
    *devices.PAGES,
    *domains.PAGES,
    *people.PAGES,
    *grants.PAGES,
    *relays.PAGES,
    *requests.PAGES,
    *firmware.PAGES,
    *records.PAGES,
    *settings.PAGES,
)


def routes(portal: Portal) -> list[BaseRoute]:
    """Return the routes of all pages."""
    found: list[BaseRoute] = [Route("/live", portal.page(live), methods=["GET"])]
    found.append(Route(firmware.UPLOAD, portal.page(firmware.upload, takes_file=True), methods=["POST"]))
    for address, make, methods in PAGES:
        found.append(Route(address, portal.page(make), methods=methods))
    return found

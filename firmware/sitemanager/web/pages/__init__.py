"""The pages: what is asked of the daemon for each, and what is sent on to it."""

from __future__ import annotations

from typing import Final

from . import (
    access,
    backup,
    entrance,
    firmware,
    gatemanager,
    machine,
    network,
    overview,
    service,
    trial,
    uplinks,
    wizard,
)

ROUTES: Final = (
    *entrance.ROUTES,
    *overview.ROUTES,
    *wizard.ROUTES,
    *uplinks.ROUTES,
    *network.ROUTES,
    *gatemanager.ROUTES,
    *machine.ROUTES,
    *access.ROUTES,
    *backup.ROUTES,
    *service.ROUTES,
    *firmware.ROUTES,
    *trial.ROUTES,
)
"""Path, methods, page."""

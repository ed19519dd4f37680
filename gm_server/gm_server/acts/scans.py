"""Scans: an appliance looks at its device network. The right is checked and recorded here; the running server asks."""

from __future__ import annotations

from sqlalchemy.orm import Session

from gm_server.access.actors import Actor, Permission
from gm_server.audit.events import Event
from gm_server.audit.log import record
from gm_server.exceptions import Conflict

from .subjects import find_appliance


def start_scan(session: Session, by: Actor, appliance: str, now: float) -> None:
    """Let an appliance's network be scanned; then call ``service.live`` to do it."""
    found = find_appliance(session, by, appliance, Permission.CHANGE)
    if found.record.state != "active":
        raise Conflict(f"{found.path} is {found.record.state}: only an appliance that is enrolled can look around")
    record(session, by, Event.SCAN_STARTED, found.subject, now)


def scanned(session: Session, by: Actor, appliance: str) -> str:
    """Return the id of an appliance whose scan the actor may read: what stands in a plant is for who administers it."""
    return find_appliance(session, by, appliance, Permission.CHANGE).record.id

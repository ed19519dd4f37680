"""What appliances say of themselves, as it was said last."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec
from sqlalchemy import update
from sqlalchemy.orm import Session

from gatelink.messages import ApplianceStatus
from gm_server.database.tables import Appliance
from gm_server.names import printable


def note_statuses(session: Session, statuses: Mapping[str, tuple[ApplianceStatus, float]]) -> None:
    """Keep the reports of appliances (by id) with the time when they came."""
    for appliance_id, (status, at) in statuses.items():
        session.execute(
            update(Appliance)
            .where(Appliance.id == appliance_id)
            .values(
                hardware=printable(status.hardware),
                firmware=printable(status.firmware),
                status=msgspec.json.encode(status).decode(),
                status_at=at,
            )
        )


def status_of(appliance: Appliance) -> ApplianceStatus | None:
    """Return the last report of an appliance; None if it never made one that is understood now."""
    try:
        return msgspec.json.decode(appliance.status, type=ApplianceStatus) if appliance.status else None
    except msgspec.DecodeError:
        return None


def active_uplink(status: ApplianceStatus | None) -> str:
    """Return the name of the uplink in use; empty if that is not known."""
    uplinks = () if status is None else status.uplinks
    return next((printable(uplink.name) for uplink in uplinks if uplink.state == "active"), "")

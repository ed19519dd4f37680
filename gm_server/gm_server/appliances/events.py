"""Alarms and audit entries of appliances: kept once, in their order, and acknowledged when they are on the disk."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import select
from sqlalchemy.orm import Session

from gatelink.messages import ApplianceEvent
from gm_server.database.tables import Appliance, ApplianceEventRecord
from gm_server.names import printable


def keep_events(session: Session, appliance_id: str, events: Sequence[ApplianceEvent], now: float) -> int | None:
    """Keep those that are new; return the number of the last one that is here, None if there is no such appliance."""
    appliance = session.get(Appliance, appliance_id)
    if appliance is None:
        return None
    for event in sorted(events, key=lambda event: event.number):
        if event.number <= appliance.events_kept:
            continue
        session.add(
            ApplianceEventRecord(
                appliance_id=appliance_id,
                number=event.number,
                kind=printable(event.kind),
                at=event.at,
                kept_at=now,
                text=printable(event.text),
            )
        )
        appliance.events_kept = event.number
    session.flush()
    return appliance.events_kept


def list_events(session: Session, appliance_id: str, limit: int = 100) -> Sequence[ApplianceEventRecord]:
    """Return an appliance's last events, newest first."""
    query = select(ApplianceEventRecord).where(ApplianceEventRecord.appliance_id == appliance_id)
    return session.scalars(query.order_by(ApplianceEventRecord.number.desc()).limit(limit)).all()

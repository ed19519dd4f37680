"""Alarms and audit entries of appliances: kept once, in their order, and acknowledged when they are on the disk."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import func, select, update
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


def begin_anew(session: Session, appliance: Appliance) -> None:
    """Another unit, or one that lost its memory, takes the appliance's place: it counts from 1 again.

    What is kept of the one before moves to numbers below 1, out of the way.
    """
    record = ApplianceEventRecord
    mine = record.appliance_id == appliance.id
    lowest = min(0, session.scalar(select(func.min(record.number)).where(mine)) or 0)
    shift = appliance.events_kept - lowest + 1
    session.execute(update(record).where(mine, record.number > 0).values(number=record.number - shift))
    appliance.events_kept = 0


def list_events(session: Session, appliance_id: str, limit: int = 100) -> Sequence[ApplianceEventRecord]:
    """Return an appliance's last events, newest first."""
    query = select(ApplianceEventRecord).where(ApplianceEventRecord.appliance_id == appliance_id)
    newest = (ApplianceEventRecord.kept_at.desc(), ApplianceEventRecord.number.desc())
    return session.scalars(query.order_by(*newest).limit(limit)).all()

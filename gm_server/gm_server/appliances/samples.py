"""Appliances over time, for the plots: a sample every few minutes, fewer the older they are."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

import msgspec
from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from gm_server.database.tables import Appliance, ApplianceSample

SAMPLE_S: Final = 300.0
_DAY_S: Final = 86400.0
STEPS: Final = ((2 * _DAY_S, 900.0), (14 * _DAY_S, 3600.0), (180 * _DAY_S, None))
"""(age, distance): samples older than the age are thinned out to one in the distance; None: none is left."""


class Sample(msgspec.Struct, frozen=True):
    """One appliance at one moment; bytes are those since its sample before."""

    appliance_id: str
    at: float
    online: bool
    latency_ms: float | None = None
    bytes_from_users: int = 0
    bytes_from_appliance: int = 0
    uplink: str = ""
    port: int | None = None


def add_samples(session: Session, samples: Iterable[Sample]) -> None:
    """Keep samples; those of appliances that were removed meanwhile are dropped."""
    known = set(session.scalars(select(Appliance.id)))
    for sample in samples:
        if sample.appliance_id in known:
            session.merge(ApplianceSample(**msgspec.structs.asdict(sample)))


def thin_samples(session: Session, now: float) -> int:
    """Remove what is not needed any more at ``now``; returns how many. The last sample in each distance stays."""
    removed = 0
    for number, (age_s, distance_s) in enumerate(STEPS):
        youngest = now - age_s
        if distance_s is None:
            removed += session.execute(delete(ApplianceSample).where(ApplianceSample.at < youngest)).rowcount  # type: ignore[attr-defined]
            continue
        oldest = now - STEPS[number + 1][0]
        query = select(ApplianceSample.appliance_id, ApplianceSample.at).where(
            ApplianceSample.at < youngest, ApplianceSample.at >= oldest
        )
        rows = session.execute(query.order_by(ApplianceSample.appliance_id, ApplianceSample.at.desc())).all()
        seen: set[tuple[str, int]] = set()
        for appliance_id, at in rows:
            place = (appliance_id, int(at // distance_s))
            if place in seen:
                session.execute(
                    delete(ApplianceSample).where(
                        ApplianceSample.appliance_id == appliance_id, ApplianceSample.at == at
                    )
                )
                removed += 1
            seen.add(place)
    return removed


def samples_of(session: Session, appliance_id: str, since: float) -> Sequence[ApplianceSample]:
    """Return an appliance's samples from ``since`` on, oldest first."""
    query = select(ApplianceSample).where(ApplianceSample.appliance_id == appliance_id, ApplianceSample.at >= since)
    return session.scalars(query.order_by(ApplianceSample.at)).all()

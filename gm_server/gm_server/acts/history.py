"""An appliance's past: samples for the plots, and what it reported itself."""

from __future__ import annotations

import msgspec
from sqlalchemy.orm import Session

from gatelink.messages import ApplianceStatus
from gm_server.access.actors import Actor
from gm_server.appliances import events as event_records
from gm_server.appliances import samples as sample_records
from gm_server.appliances.samples import Sample

from .subjects import find_appliance

MAX_EVENTS = 20


class EventView(msgspec.Struct, frozen=True):
    """What an appliance reported."""

    number: int
    kind: str
    at: float
    """By its own clock."""
    text: str


class ApplianceHistory(msgspec.Struct, frozen=True, kw_only=True):
    """The past of an appliance."""

    samples: tuple[Sample, ...] = ()
    """Oldest first."""
    events: tuple[EventView, ...] = ()
    """Newest first."""


def of_appliance(session: Session, by: Actor, reference: str, since: float) -> ApplianceHistory:
    """Return an appliance's samples from ``since`` on and its last events; only a role shows them."""
    appliance = find_appliance(session, by, reference).record
    samples = sample_records.samples_of(session, appliance.id, since)
    events = event_records.list_events(session, appliance.id, MAX_EVENTS)
    return ApplianceHistory(
        samples=tuple(
            Sample(**{field: getattr(sample, field) for field in Sample.__struct_fields__}) for sample in samples
        ),
        events=tuple(EventView(event.number, event.kind, event.at, event.text) for event in events),
    )


def status_in(text: str) -> ApplianceStatus | None:
    """Return an appliance's report of itself; None if it made none that is understood."""
    try:
        return msgspec.json.decode(text, type=ApplianceStatus) if text else None
    except msgspec.DecodeError:
        return None

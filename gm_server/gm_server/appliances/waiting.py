"""SiteManagers that came without a claim (plain first-use trust). They can do nothing until somebody adopts them."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from gatelink.exceptions import Refused
from gm_server.database.tables import Appliance, WaitingAppliance
from gm_server.exceptions import Conflict, NotFound
from gm_server.ids import new_id
from gm_server.names import printable

from .registry import add_appliance

FORGET_S = 7 * 24 * 3600.0
"""A waiting appliance that did not ask again for so long makes room."""


def ask_for_place(
    session: Session, key_sha256: bytes, software: str, address: str, now: float, limit: int
) -> WaitingAppliance:
    """Return the place of the holder of a key, a new one if need be; raises Refused when the list is full."""
    waiting = session.scalars(select(WaitingAppliance).where(WaitingAppliance.key_sha256 == key_sha256)).one_or_none()
    if waiting is None:
        _make_room(session, now, limit)
        waiting = WaitingAppliance(id=new_id("wai"), key_sha256=key_sha256, first_seen_at=now)
        session.add(waiting)
    waiting.software = printable(software)
    waiting.address = address
    waiting.last_seen_at = now
    session.flush()
    return waiting


def list_waiting(session: Session) -> Sequence[WaitingAppliance]:
    """Return those that nobody adopted yet, longest waiting first."""
    query = select(WaitingAppliance).where(WaitingAppliance.appliance_id.is_(None))
    return session.scalars(query.order_by(WaitingAppliance.first_seen_at)).all()


def adopt(session: Session, waiting_id: str, domain_path: str, name: str, now: float) -> Appliance:
    """Make an appliance of a waiting one: it gets its certificate when it asks next."""
    waiting = session.get(WaitingAppliance, waiting_id)
    if waiting is None:
        raise NotFound(f"nobody waits as {waiting_id[:60]}; `gm appliances waiting` shows all")
    if waiting.appliance_id is not None:
        raise Conflict(f"{waiting_id} is adopted already")
    appliance = add_appliance(session, domain_path, name, now)
    waiting.appliance_id = appliance.id
    session.flush()
    return appliance


def _make_room(session: Session, now: float, limit: int) -> None:
    for old in session.scalars(
        select(WaitingAppliance).where(
            WaitingAppliance.appliance_id.is_(None), WaitingAppliance.last_seen_at < now - FORGET_S
        )
    ):
        session.delete(old)
    session.flush()
    count = session.scalar(
        select(func.count()).select_from(WaitingAppliance).where(WaitingAppliance.appliance_id.is_(None))
    )
    if (count or 0) >= limit:
        raise Refused("full", "the list of waiting appliances is full: ask for a claim")

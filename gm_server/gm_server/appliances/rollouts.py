"""Records of roll-outs: begun, carried on step by step, stopped. All of a roll-out's state is in the database: a
GateManager that was killed goes on where it was, and offers anew what was offered."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Final

import msgspec
from sqlalchemy import func, select, update
from sqlalchemy.orm import Session

from gatelink.messages import FirmwareOffer
from gm_server.access.actors import SYSTEM, is_within
from gm_server.audit.events import Event
from gm_server.audit.log import Subject, record
from gm_server.database.tables import Appliance, Domain, FirmwareBundle, FirmwareRollout, FirmwareTarget
from gm_server.ids import new_id

from .firmware import record_end
from .waves import DONE, FETCHING, Step, Target, next_step

AT_ONCE: Final = 64
"""Appliances that may be fetching at the same time on the whole server: its line is for sessions, too."""
BY_ITSELF: Final = "stopped by itself"
"""How the reason begins where nobody stopped it: that is an alarm."""
MISSING_FILE: Final = f"{BY_ITSELF}: the bundle's file is missing here: upload it again, then resume"
NOT_BACK: Final = "nothing was heard from it for an hour: it did not come back, or does not answer"


class Terms(msgspec.Struct, frozen=True, kw_only=True):
    """How a bundle is rolled out."""

    wave_size: int
    stop_after_failures: int
    allow_older: bool
    during_sessions: bool


class Offered(msgspec.Struct, frozen=True):
    """What an appliance is to install."""

    rollout_id: str
    offer: FirmwareOffer


class Standing(msgspec.Struct, frozen=True):
    """All running roll-outs at a moment."""

    offers: dict[str, Offered]
    """By the appliance that has an offer and no result."""
    bundles: dict[str, int]
    """Sizes of the files that they need."""
    is_due: bool
    """Whether ``carry_on`` has something to do."""


def add_rollout(
    session: Session, bundle_id: str, domain_id: str, appliance_ids: Sequence[str], terms: Terms, by: str, now: float
) -> FirmwareRollout:
    """Begin a roll-out to appliances, in this order."""
    rollout = FirmwareRollout(
        id=new_id("rou"),
        bundle_id=bundle_id,
        domain_id=domain_id,
        state="running",
        created_at=now,
        created_by=by,
        **msgspec.structs.asdict(terms),
    )
    session.add(rollout)
    session.flush()
    for position, appliance_id in enumerate(appliance_ids):
        target = FirmwareTarget(
            rollout_id=rollout.id, appliance_id=appliance_id, position=position, state="pending", changed_at=now
        )
        session.add(target)
    session.flush()
    return rollout


def busy_appliances(session: Session) -> set[str]:
    """Return the appliances that a running roll-out is not done with."""
    query = select(FirmwareTarget.appliance_id).join(FirmwareRollout, FirmwareRollout.id == FirmwareTarget.rollout_id)
    return set(session.scalars(query.where(FirmwareRollout.state == "running", FirmwareTarget.state.not_in(DONE))))


def standing(session: Session, online: Collection[str], now: float) -> Standing:
    """Return how all running roll-outs are."""
    offers: dict[str, Offered] = {}
    bundles: dict[str, int] = {}
    due = False
    room = AT_ONCE - _fetching(session)
    for rollout, bundle in _running(session):
        targets, gone = _targets(session, rollout)
        due |= bool(gone) or bool(_step(rollout, targets, online, now, room))
        bundles[bundle.id] = bundle.size_bytes
        offer = FirmwareOffer(
            bundle_id=bundle.id,
            version=bundle.version,
            size_bytes=bundle.size_bytes,
            sha256=bundle.sha256,
            allow_older=rollout.allow_older,
            during_sessions=rollout.during_sessions,
        )
        offers |= {
            target.appliance_id: Offered(rollout.id, offer) for target in map(_plain, targets) if target.is_under_way
        }
    return Standing(offers, bundles, due)


def carry_on(session: Session, online: Collection[str], now: float, missing: Collection[str] = ()) -> None:
    """Take the next step of every running roll-out; ``missing`` are bundles without their file."""
    room = AT_ONCE - _fetching(session)
    for rollout, bundle in _running(session):
        if bundle.id in missing:
            stop(session, rollout, MISSING_FILE)
            record(session, SYSTEM, Event.ROLLOUT_STOPPED, subject_of(session, rollout), now, text=MISSING_FILE)
            continue
        targets, gone = _targets(session, rollout)
        for target in gone:
            session.delete(target)
        step = _step(rollout, targets, online, now, room)
        room -= len(step.offer)
        _take(session, rollout, bundle.version, targets, step, now)
    session.flush()


def _take(
    session: Session, rollout: FirmwareRollout, version: str, targets: list[FirmwareTarget], step: Step, now: float
) -> None:
    for target in targets:
        if target.appliance_id in step.offer:
            target.state, target.changed_at = "offered", now
        elif target.appliance_id in step.lost:
            target.state, target.text, target.changed_at = "failed", NOT_BACK, now
            record_end(session, target, version, now)
    if step.end == "finished":
        rollout.state = "finished"
    elif step.end == "stopped":
        text = f"{BY_ITSELF} after {step.failures} failed"
        stop(session, rollout, text)
        record(session, SYSTEM, Event.ROLLOUT_STOPPED, subject_of(session, rollout), now, text=text, version=version)


def stop(session: Session, rollout: FirmwareRollout, text: str) -> None:
    """Offer it to nobody any more; who is fetching it is refused, who has it goes on."""
    rollout.state, rollout.text = "stopped", text
    fetching = FirmwareTarget.rollout_id == rollout.id, FirmwareTarget.state.in_(FETCHING)
    # That they give up is our doing: what they say of it now counts for nothing.
    session.execute(update(FirmwareTarget).where(*fetching).values(state="pending", percent=0, text=""))
    session.flush()


def resume(session: Session, rollout: FirmwareRollout, now: float) -> None:
    """Go on with those who were not reached yet; failures so far are not counted again."""
    states = session.scalars(select(FirmwareTarget.state).where(FirmwareTarget.rollout_id == rollout.id)).all()
    failures = sum(state in DONE and state != "good" for state in states)
    rollout.stop_after_failures = max(rollout.stop_after_failures, failures + 1)
    rollout.state, rollout.text = "running", ""
    under_way = select(FirmwareTarget).where(
        FirmwareTarget.rollout_id == rollout.id, FirmwareTarget.state.not_in((*DONE, "pending"))
    )
    for target in session.scalars(under_way):
        target.changed_at = now
    session.flush()


def stop_all(session: Session, text: str) -> None:
    """Stop whatever runs: the records are of another time."""
    for rollout, _ in _running(session):
        stop(session, rollout, text)


def subject_of(session: Session, rollout: FirmwareRollout) -> Subject:
    """Return a roll-out as the audit log names it."""
    domain = session.get_one(Domain, rollout.domain_id).path
    return Subject(rollout.id, session.get_one(FirmwareBundle, rollout.bundle_id).version, domain)


def _running(session: Session) -> list[tuple[FirmwareRollout, FirmwareBundle]]:
    query = select(FirmwareRollout, FirmwareBundle).join(FirmwareBundle, FirmwareBundle.id == FirmwareRollout.bundle_id)
    query = query.where(FirmwareRollout.state == "running").order_by(FirmwareRollout.created_at, FirmwareRollout.id)
    return [(row[0], row[1]) for row in session.execute(query)]


def _targets(session: Session, rollout: FirmwareRollout) -> tuple[list[FirmwareTarget], list[FirmwareTarget]]:
    """Return a roll-out's appliances, and apart those that were revoked or moved away meanwhile."""
    query = select(FirmwareTarget, Appliance.state, Domain.path).join(
        Appliance, Appliance.id == FirmwareTarget.appliance_id
    )
    query = query.join(Domain, Domain.id == Appliance.domain_id).where(FirmwareTarget.rollout_id == rollout.id)
    home = session.get_one(Domain, rollout.domain_id).path
    here: list[FirmwareTarget] = []
    gone: list[FirmwareTarget] = []
    for target, state, path in session.execute(query.order_by(FirmwareTarget.position)):
        kept = target.state in DONE or (state == "active" and is_within(path, home))
        (here if kept else gone).append(target)
    return here, gone


def _step(
    rollout: FirmwareRollout, targets: list[FirmwareTarget], online: Collection[str], now: float, room: int
) -> Step:
    plain = [_plain(target) for target in targets]
    return next_step(plain, rollout.wave_size, rollout.stop_after_failures, online, now, room)


def _plain(target: FirmwareTarget) -> Target:
    return Target(target.appliance_id, target.state, target.changed_at)


def _fetching(session: Session) -> int:
    query = select(func.count()).select_from(FirmwareTarget)
    query = query.join(FirmwareRollout, FirmwareRollout.id == FirmwareTarget.rollout_id)
    return session.scalar(query.where(FirmwareRollout.state == "running", FirmwareTarget.state.in_(FETCHING))) or 0

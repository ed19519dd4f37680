"""Records of firmware: bundles, and what gateways say of their updates. The bytes are for ``bundle_files``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from gatelink.messages import FirmwareProgress
from gm_server.access.actors import Actor
from gm_server.audit.events import Event
from gm_server.audit.log import Result, Subject, record
from gm_server.database.tables import Appliance, FirmwareBundle, FirmwareRollout, FirmwareTarget
from gm_server.exceptions import Conflict
from gm_server.ids import new_id
from gm_server.names import printable

from .bundle_files import BundleFiles, Received
from .registry import path_of
from .waves import DONE, FAILED

MAX_BUNDLES: Final = 100
"""On one server. A security limit."""


def add_bundle(
    session: Session, files: BundleFiles, received: Received, domain_id: str | None, now: float
) -> tuple[FirmwareBundle, bool]:
    """Keep a received bundle; also whether its record was here already and only its file was missing.

    Raises Conflict: the same bundle is here already, or there are too many.
    """
    same = select(FirmwareBundle).where(
        FirmwareBundle.sha256 == received.sha256, FirmwareBundle.domain_id.is_not_distinct_from(domain_id)
    )
    known = session.scalars(same).first()
    if known is not None:
        if files.has(known.id, known.size_bytes):
            raise Conflict(f"this very bundle is here already: {known.version} for {known.board} ({known.id})")
        files.keep(received, known.id)
        return known, True
    if (session.scalar(select(func.count()).select_from(FirmwareBundle)) or 0) >= MAX_BUNDLES:
        raise Conflict(f"this server has {MAX_BUNDLES} bundles: remove those that nobody needs any more")
    bundle = FirmwareBundle(
        id=new_id("bnd"),
        domain_id=domain_id,
        version=received.manifest.version,
        board=received.manifest.board,
        size_bytes=received.size_bytes,
        sha256=received.sha256,
        created_at=now,
    )
    session.add(bundle)
    session.flush()
    files.keep(received, bundle.id)
    return bundle, False


def remove_bundle(session: Session, bundle: FirmwareBundle) -> None:
    """Remove a bundle's record with its past roll-outs; the file is for the caller, once this is committed."""
    running = FirmwareRollout.bundle_id == bundle.id, FirmwareRollout.state == "running"
    if session.scalar(select(func.count()).select_from(FirmwareRollout).where(*running)):
        raise Conflict(f"{bundle.version} is being rolled out: stop that first")
    session.delete(bundle)
    session.flush()


def bundle_ids(session: Session) -> Sequence[str]:
    """Return the ids of all bundles."""
    return session.scalars(select(FirmwareBundle.id)).all()


def count_bundles(session: Session) -> tuple[int, int]:
    """Return how many bundles there are, and their bytes."""
    counts = session.execute(select(func.count(), func.coalesce(func.sum(FirmwareBundle.size_bytes), 0))).one()
    return counts[0], counts[1]


def missing_files(session: Session, files: BundleFiles) -> list[str]:
    """Return which bundles have a record and no file: ``board version`` of each."""
    bundles = session.scalars(select(FirmwareBundle).order_by(FirmwareBundle.created_at))
    return [f"{one.board} {one.version}" for one in bundles if not files.has(one.id, one.size_bytes)]


def note_progress(session: Session, said: Mapping[str, tuple[FirmwareProgress, float]]) -> None:
    """Keep what appliances (by id) say of their updates; what they were not offered is none of their business."""
    for appliance_id, (progress, at) in said.items():
        query = select(FirmwareTarget).join(FirmwareRollout, FirmwareRollout.id == FirmwareTarget.rollout_id)
        query = query.where(
            FirmwareTarget.appliance_id == appliance_id,
            FirmwareTarget.state != "pending",
            FirmwareRollout.bundle_id == progress.bundle_id,
        )
        target = session.scalars(query.order_by(FirmwareRollout.created_at.desc())).first()
        if target is not None:
            _note(session, target, progress, at)
    session.flush()


def _note(session: Session, target: FirmwareTarget, progress: FirmwareProgress, at: float) -> None:
    if target.state in DONE and progress.state not in DONE:
        return
    ends = progress.state in DONE and progress.state != target.state
    target.state, target.percent = progress.state, progress.percent
    target.text, target.changed_at = printable(progress.text), at
    if ends:
        rollout = session.get_one(FirmwareRollout, target.rollout_id)
        bundle = session.get_one(FirmwareBundle, rollout.bundle_id)
        record_end(session, target, bundle.version, at)


def record_end(session: Session, target: FirmwareTarget, version: str, now: float) -> None:
    """Write what became of an update into the audit log."""
    appliance = session.get_one(Appliance, target.appliance_id)
    path = path_of(session, appliance)
    result: Result = "done" if target.state not in FAILED else "refused" if target.state == "refused" else "failed"
    by = Actor(appliance.id, appliance.name, (), "sm", appliance.last_address or "")
    subject = Subject(appliance.id, path, path.rpartition("/")[0])
    details = {"version": version, "state": target.state, "rollout": target.rollout_id, "text": target.text}
    record(session, by, Event.FIRMWARE_INSTALLED, subject, now, result, **details)

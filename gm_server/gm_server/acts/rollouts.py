"""Roll-outs: begun, watched, stopped, resumed. The running server does the work, from the records alone.

A roll-out lies in the deepest domain that holds all its appliances: roles there let one see it, and change it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta
from sqlalchemy import Row, Select, func, literal, select
from sqlalchemy.orm import Session

from gatelink.exceptions import InputError
from gm_server.access.actors import Actor, Permission, is_within
from gm_server.appliances import rollouts as records
from gm_server.appliances.bundle_files import BundleFiles
from gm_server.appliances.rollouts import Terms, subject_of
from gm_server.appliances.waves import DONE, FAILED
from gm_server.audit.events import Event
from gm_server.audit.log import record
from gm_server.database.tables import Appliance, Domain, FirmwareBundle, FirmwareRollout, FirmwareTarget
from gm_server.exceptions import Conflict

from .firmware import BundleFound, find_bundle
from .paging import Page, Paging, fetch, matches
from .sight import within
from .subjects import ApplianceFound, find_appliance, find_domain, missing

RolloutState = Literal["running", "stopped", "finished"]
Reference = Annotated[str, Meta(max_length=700)]
MAX_NAMED = 250
"""For more, a domain; all their paths fit into the body of a request."""


class NewRollout(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What is to be rolled out, and to whom: to appliances, or to a domain.

    Of a domain it goes to the gateways of the bundle's board that run another version.
    """

    bundle: Reference
    domain: Reference = ""
    appliances: Annotated[tuple[Reference, ...], Meta(max_length=MAX_NAMED)] = ()
    wave_size: Annotated[int, Meta(ge=1, le=1000)] = 5
    """How many at the same time; the next wave begins when this one is done."""
    stop_after_failures: Annotated[int, Meta(ge=1, le=100_000)] = 1
    allow_older: bool = False
    during_sessions: bool = False
    """Do not wait until nobody works with the appliance."""


class RolloutView(msgspec.Struct, frozen=True, kw_only=True):
    """A roll-out. Times are Unix seconds."""

    id: str
    bundle_id: str
    version: str
    board: str
    domain: str
    state: RolloutState
    text: str
    """Why it was stopped."""
    wave_size: int
    stop_after_failures: int
    allow_older: bool
    during_sessions: bool
    created_at: float
    created_by: str
    total: int
    pending: int
    under_way: int
    good: int
    failed: int


class TargetView(msgspec.Struct, frozen=True, kw_only=True):
    """How far an appliance is."""

    rollout_id: str
    appliance_id: str
    appliance: str
    version: str
    """What it is to get."""
    firmware: str
    """What it runs, as it last said."""
    state: str
    percent: int
    text: str
    changed_at: float


def list_rollouts(
    session: Session, by: Actor, paging: Paging, *, state: RolloutState | None = None
) -> Page[RolloutView]:
    """Return the roll-outs that the actor's roles show, the newest first."""
    query = _rollouts().where(within(Domain.path, by.seen_domains))
    query = query.where(matches(paging.search, FirmwareBundle.version, FirmwareBundle.board, Domain.path))
    if state is not None:
        query = query.where(FirmwareRollout.state == state)
    found = fetch(session, query, paging, FirmwareRollout.created_at, FirmwareRollout.id, descending=True)
    return Page(tuple(_view(session, row[0], row[1], row[2]) for row in found.rows), found.next, found.total)


def get_rollout(session: Session, by: Actor, reference: str) -> RolloutView:
    """Return one roll-out."""
    return _view(session, *_find(session, by, reference, Permission.SEE))


def list_targets(session: Session, by: Actor, reference: str, paging: Paging) -> Page[TargetView]:
    """Return the appliances of a roll-out in their order."""
    rollout, bundle, home = _find(session, by, reference, Permission.SEE)
    query = _targets(bundle.version).where(FirmwareTarget.rollout_id == rollout.id, within(Domain.path, [home]))
    query = query.where(matches(paging.search, Domain.path, Appliance.name, FirmwareTarget.state))
    found = fetch(session, query, paging, FirmwareTarget.position)
    return Page(tuple(_target_view(row) for row in found.rows), found.next, found.total)


def last_of_appliance(session: Session, by: Actor, reference: str) -> TargetView | None:
    """Return the newest update of an appliance; only a role shows it."""
    appliance = find_appliance(session, by, reference)
    query = select(FirmwareRollout, FirmwareBundle.version).join(
        FirmwareBundle, FirmwareBundle.id == FirmwareRollout.bundle_id
    )
    query = query.join(FirmwareTarget, FirmwareTarget.rollout_id == FirmwareRollout.id)
    query = query.where(FirmwareTarget.appliance_id == appliance.record.id)
    row = session.execute(query.order_by(FirmwareRollout.created_at.desc(), FirmwareRollout.id)).first()
    if row is None:
        return None
    mine = FirmwareTarget.rollout_id == row[0].id, FirmwareTarget.appliance_id == appliance.record.id
    return _target_view(session.execute(_targets(row[1]).where(*mine)).one())


def start_rollout(session: Session, by: Actor, files: BundleFiles, new: NewRollout, now: float) -> RolloutView:
    """Begin a roll-out; raises Conflict where there is nobody to offer it to."""
    if bool(new.domain) == bool(new.appliances):
        raise InputError("name a domain or appliances, one of both")
    found = find_bundle(session, by, new.bundle)
    if new.domain:
        domain = find_domain(session, by, new.domain, Permission.CHANGE)
        ids = _of_domain(session, domain, found.record)
    else:
        named = [find_appliance(session, by, reference, Permission.CHANGE) for reference in new.appliances]
        ids = _named(session, named)
        domain = find_domain(session, by, _common([item.domain for item in named]), Permission.CHANGE)
    _check_owner(found, domain)
    if not files.has(found.record.id, found.record.size_bytes):
        raise Conflict(f"the file of {found.record.version} is missing here: upload it again")
    terms = Terms(
        wave_size=new.wave_size,
        stop_after_failures=new.stop_after_failures,
        allow_older=new.allow_older,
        during_sessions=new.during_sessions,
    )
    rollout = records.add_rollout(session, found.record.id, domain.id, ids, terms, by.name, now)
    details = {"bundle": found.record.id, "appliances": len(ids), **msgspec.structs.asdict(terms)}
    record(session, by, Event.ROLLOUT_STARTED, subject_of(session, rollout), now, "done", **details)
    return get_rollout(session, by, rollout.id)


def stop_rollout(session: Session, by: Actor, reference: str, now: float) -> RolloutView:
    """Offer it to nobody any more. Who fetches is refused; who has it all goes on."""
    rollout, _, _ = _find(session, by, reference, Permission.CHANGE)
    if rollout.state == "running":
        records.stop(session, rollout, f"stopped by {by.name}")
        record(session, by, Event.ROLLOUT_STOPPED, subject_of(session, rollout), now)
    return get_rollout(session, by, reference)


def resume_rollout(session: Session, by: Actor, files: BundleFiles, reference: str, now: float) -> RolloutView:
    """Go on with a stopped roll-out: with those who were not reached yet. One more failure stops it again."""
    rollout, bundle, _ = _find(session, by, reference, Permission.CHANGE)
    if rollout.state == "finished":
        raise Conflict("this roll-out is finished: begin a new one")
    if not files.has(bundle.id, bundle.size_bytes):
        raise Conflict(f"the file of {bundle.version} is missing here: upload it again")
    if rollout.state == "stopped":
        mine = select(FirmwareTarget.appliance_id).where(
            FirmwareTarget.rollout_id == rollout.id, FirmwareTarget.state.not_in(DONE)
        )
        if records.busy_appliances(session) & set(session.scalars(mine)):
            raise Conflict("another roll-out that runs has some of these appliances: stop that first")
        records.resume(session, rollout, now)
        record(session, by, Event.ROLLOUT_STARTED, subject_of(session, rollout), now, "done", resumed=True)
    return get_rollout(session, by, reference)


def _of_domain(session: Session, domain: Domain, bundle: FirmwareBundle) -> list[str]:
    query = select(Appliance.id).join(Domain, Domain.id == Appliance.domain_id)
    query = query.where(
        within(Domain.path, [domain.path]),
        Appliance.state == "active",
        Appliance.firmware.not_in(("", bundle.version)),
        Appliance.hardware.in_(("", bundle.board)),
    )
    busy = records.busy_appliances(session)
    ids = [found for found in session.scalars(query.order_by(Domain.path, Appliance.name)) if found not in busy]
    if not ids:
        raise Conflict(
            f"nobody in {domain.path} is to be updated: every gateway there runs {bundle.version}, has another board "
            f"than {bundle.board}, is part of a roll-out, or never said which firmware it runs"
        )
    return ids


def _named(session: Session, named: Sequence[ApplianceFound]) -> list[str]:
    busy = records.busy_appliances(session)
    for found in named:
        if found.record.state != "active":
            raise Conflict(f"{found.path} is {found.record.state}: only an appliance that is enrolled can be updated")
        if found.record.id in busy:
            raise Conflict(f"{found.path} is part of a roll-out that runs")
    return list(dict.fromkeys(found.record.id for found in named))


def _common(domains: Sequence[str]) -> str:
    """Return the deepest domain that holds all of them; raises InputError."""
    paths = [path.split("/") for path in domains]
    levels = 0
    while all(len(path) > levels and path[levels] == paths[0][levels] for path in paths):
        levels += 1
    if not levels:
        raise InputError("these appliances have no domain in common: make a roll-out for each of their domains")
    return "/".join(paths[0][:levels])


def _check_owner(found: BundleFound, domain: Domain) -> None:
    if found.domain is not None and not is_within(domain.path, found.domain):
        raise Conflict(f"this bundle is for appliances in {found.domain}, not in {domain.path}")


def _find(
    session: Session, by: Actor, reference: str, permission: Permission
) -> tuple[FirmwareRollout, FirmwareBundle, str]:
    row = session.execute(_rollouts().where(FirmwareRollout.id == reference)).one_or_none()
    if row is None:
        missing("roll-out", reference)
    by.must(permission, row[2], f"roll-out {reference[:80]}")
    return row[0], row[1], row[2]


def _rollouts() -> Select[tuple[FirmwareRollout, FirmwareBundle, str]]:
    query = select(FirmwareRollout, FirmwareBundle, Domain.path)
    query = query.join(FirmwareBundle, FirmwareBundle.id == FirmwareRollout.bundle_id)
    return query.join(Domain, Domain.id == FirmwareRollout.domain_id)


def _targets(version: str) -> Select[tuple[FirmwareTarget, Appliance, str, str]]:
    query = select(FirmwareTarget, Appliance, Domain.path, literal(version))
    query = query.join(Appliance, Appliance.id == FirmwareTarget.appliance_id)
    return query.join(Domain, Domain.id == Appliance.domain_id)


def _view(session: Session, rollout: FirmwareRollout, bundle: FirmwareBundle, domain: str) -> RolloutView:
    query = select(FirmwareTarget.state, func.count()).where(FirmwareTarget.rollout_id == rollout.id)
    counts: dict[str, int] = {row[0]: row[1] for row in session.execute(query.group_by(FirmwareTarget.state))}
    total, pending = sum(counts.values()), counts.get("pending", 0)
    done = sum(counts.get(state, 0) for state in DONE)
    return RolloutView(
        id=rollout.id,
        bundle_id=bundle.id,
        version=bundle.version,
        board=bundle.board,
        domain=domain,
        state=rollout.state,  # type: ignore[arg-type]  # written by ``appliances.rollouts`` alone
        text=rollout.text,
        wave_size=rollout.wave_size,
        stop_after_failures=rollout.stop_after_failures,
        allow_older=rollout.allow_older,
        during_sessions=rollout.during_sessions,
        created_at=rollout.created_at,
        created_by=rollout.created_by,
        total=total,
        pending=pending,
        under_way=total - pending - done,
        good=counts.get("good", 0),
        failed=sum(counts.get(state, 0) for state in FAILED),
    )


def _target_view(row: Row[Any]) -> TargetView:
    target, appliance, domain, version = row[0], row[1], row[2], row[3]
    return TargetView(
        rollout_id=target.rollout_id,
        appliance_id=appliance.id,
        appliance=f"{domain}/{appliance.name}",
        version=version,
        firmware=appliance.firmware,
        state=target.state,
        percent=target.percent,
        text=target.text,
        changed_at=target.changed_at,
    )

"""The whole at a glance: the tree of domains with what lies in it, alarms that are open, what waits for somebody."""

from __future__ import annotations

from typing import Final

import msgspec
from sqlalchemy import and_, case, func, select
from sqlalchemy.orm import Session

from gm_server.access.actors import Actor, Permission
from gm_server.database.tables import AccessRequest, Alarm, Appliance, Device, Domain, WaitingAppliance

from .sight import Sight, sight_of, within

MAX_TILES: Final = 600
"""Appliances that are shown one by one; where there are more, each domain shows numbers."""
MAX_DOMAINS: Final = 200


class Tile(msgspec.Struct, frozen=True):
    """An appliance in the tree."""

    id: str
    name: str
    state: str
    unreachable: int
    """Its devices that do not answer."""


class Node(msgspec.Struct):
    """A domain with everything below it."""

    path: str
    id: str | None
    """None: seen only because a grant reaches into it."""
    appliances: int = 0
    """In it and below, as are the following."""
    unreachable: int = 0
    alarms: int = 0
    tiles: list[Tile] = msgspec.field(default_factory=list)
    """Appliances directly in it."""

    @property
    def name(self) -> str:
        """Its own name."""
        return self.path.rpartition("/")[2]

    @property
    def depth(self) -> int:
        """Levels above it."""
        return self.path.count("/")


class Tree(msgspec.Struct, frozen=True):
    """What somebody sees of the tree."""

    nodes: tuple[Node, ...]
    """By path."""
    more: bool
    """There are more domains than are shown."""
    has_tiles: bool
    appliances: int
    devices: int
    unreachable: int
    revoked: int
    """Appliances that are counted nowhere else."""


class Waiting(msgspec.Struct, frozen=True):
    """What waits for this person."""

    appliances: int
    """That came without a claim."""
    requests: int
    alarms: int


def tree(session: Session, by: Actor, now: float) -> Tree:
    """Return the tree of domains that the actor sees."""
    sight = sight_of(session, by, now)
    domains = session.execute(
        select(Domain.path, Domain.id).where(sight.domains(Domain.path)).order_by(Domain.path).limit(MAX_DOMAINS + 1)
    ).all()
    nodes = {path: Node(path, domain_id) for path, domain_id in domains[:MAX_DOMAINS]}
    counted = (
        select(Domain.path, func.count())
        .join(Appliance, Appliance.domain_id == Domain.id)
        .where(sight.appliances(), Appliance.state != "revoked")
    )
    counts = dict(session.execute(counted.group_by(Domain.path)).tuples().all())
    for path in counts:
        if path not in nodes and len(nodes) < MAX_DOMAINS:
            nodes[path] = Node(path, None)
    devices, unreachable = _devices(session, sight)
    alarms = _alarms(session, by)
    for path, count in counts.items():
        _add_upwards(nodes, path, "appliances", count)
    for path, count in unreachable.items():
        _add_upwards(nodes, path, "unreachable", count)
    for path, count in alarms.items():
        _add_upwards(nodes, path, "alarms", count)
    total = sum(counts.values())
    if total <= MAX_TILES:
        _add_tiles(session, sight, nodes)
    revoked = _count_revoked(session, sight)
    return Tree(
        nodes=tuple(nodes[path] for path in sorted(nodes, key=lambda path: path.split("/"))),
        more=len(domains) > MAX_DOMAINS,
        has_tiles=total <= MAX_TILES,
        appliances=total,
        devices=devices,
        unreachable=sum(unreachable.values()),
        revoked=revoked,
    )


def waiting_for(session: Session, by: Actor) -> Waiting:
    """Return what waits for the actor: one quick query each."""
    appliances = 0
    if by.may(Permission.CHANGE, None):
        query = select(func.count()).select_from(WaitingAppliance).where(WaitingAppliance.appliance_id.is_(None))
        appliances = session.scalar(query) or 0
    return Waiting(appliances, _requests(session, by), sum(_alarms(session, by).values()))


def _requests(session: Session, by: Actor) -> int:
    paths = {role.domain for role in by.roles if by.may(Permission.APPROVE, role.domain)}
    if not paths:
        return 0
    query = (
        select(func.count())
        .select_from(AccessRequest)
        .join(Appliance, Appliance.id == AccessRequest.appliance_id)
        .join(Domain, Domain.id == Appliance.domain_id)
        .where(AccessRequest.state == "waiting", AccessRequest.user_id != by.user_id)
    )
    if None not in paths:
        query = query.where(within(Domain.path, sorted(path for path in paths if path is not None)))
    return session.scalar(query) or 0


def _alarms(session: Session, by: Actor) -> dict[str, int]:
    domains = by.seen_domains
    if domains is not None and not domains:
        return {}
    query = select(Alarm.domain, func.count()).where(
        Alarm.ended_at.is_(None), Alarm.seen_at.is_(None), within(Alarm.domain, domains)
    )
    return dict(session.execute(query.group_by(Alarm.domain)).tuples().all())


def _devices(session: Session, sight: Sight) -> tuple[int, dict[str, int]]:
    is_silent = case((and_(Device.reachable.is_(False), Device.check_kind != "none"), 1), else_=0)
    query = (
        select(Domain.path, func.count(), func.sum(is_silent))
        .select_from(Device)
        .join(Appliance, Appliance.id == Device.appliance_id)
        .join(Domain, Domain.id == Appliance.domain_id)
        .where(sight.devices(), Appliance.state != "revoked")
        .group_by(Domain.path)
    )
    rows = session.execute(query).all()
    return sum(count for _, count, _ in rows), {path: silent for path, _, silent in rows if silent}


def _add_tiles(session: Session, sight: Sight, nodes: dict[str, Node]) -> None:
    silent = (
        select(func.count())
        .select_from(Device)
        .where(Device.appliance_id == Appliance.id, Device.reachable.is_(False), Device.check_kind != "none")
        .correlate(Appliance)
        .scalar_subquery()
    )
    query = (
        select(Domain.path, Appliance.id, Appliance.name, Appliance.state, silent)
        .join(Domain, Domain.id == Appliance.domain_id)
        .where(sight.appliances(), Appliance.state != "revoked")
        .order_by(Domain.path, Appliance.name)
    )
    for path, appliance_id, name, state, unreachable in session.execute(query):
        if path in nodes:
            nodes[path].tiles.append(Tile(appliance_id, name, state, unreachable))


def _count_revoked(session: Session, sight: Sight) -> int:
    query = select(func.count()).select_from(Appliance).join(Domain, Domain.id == Appliance.domain_id)
    return session.scalar(query.where(sight.appliances(), Appliance.state == "revoked")) or 0


def _add_upwards(nodes: dict[str, Node], path: str, field: str, count: int) -> None:
    levels = path.split("/")
    for depth in range(1, len(levels) + 1):
        node = nodes.get("/".join(levels[:depth]))
        if node is not None:
            setattr(node, field, getattr(node, field) + count)

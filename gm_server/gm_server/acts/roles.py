"""Roles: given to a user or a group, in a domain and below or on the whole server."""

from __future__ import annotations

from typing import Literal

import msgspec
from sqlalchemy import func, or_, select
from sqlalchemy.orm import Session

from gatelink.exceptions import InputError
from gm_server.access.actors import Actor, Permission, Role, RoleName
from gm_server.audit.events import Event
from gm_server.audit.log import Subject, record
from gm_server.database.tables import Domain, Group, RoleRecord, User
from gm_server.exceptions import Conflict
from gm_server.ids import new_id

from .authority import keeping_an_administrator, must_give
from .paging import Page, Paging, fetch, matches
from .sight import held_role_by, sight_of, within
from .subjects import find_domain, find_group, find_user, missing


class RoleView(msgspec.Struct, frozen=True, kw_only=True):
    """A role of somebody."""

    id: str
    role: RoleName
    holder_kind: Literal["user", "group"]
    holder_id: str
    holder: str
    """The user's name, or the group's path."""
    domain_id: str | None
    domain: str | None
    """Path; None: the whole server."""
    created_at: float


def list_roles(
    session: Session, by: Actor, paging: Paging, now: float, *, domain: str = "", user: str = "", group: str = ""
) -> Page[RoleView]:
    """Return the roles in domains that the actor sees, and his own, by domain.

    ``domain`` (id or path): those that hold in it or below; ``user``: his own and his groups'; ``group``: its.
    """
    seen = sight_of(session, by, now).domains(Domain.path)
    if by.user_id and by.may_see_himself:
        seen = or_(seen, held_role_by(by.user_id))
    holder_domain = select(Domain.path).where(Domain.id == Group.domain_id).correlate(Group).scalar_subquery()
    path = func.coalesce(Domain.path, "").label(
        "place",
    )
    query = (
        select(RoleRecord, Domain.path, User.name, Group.name, holder_domain)
        .outerjoin(Domain, Domain.id == RoleRecord.domain_id)
        .outerjoin(User, User.id == RoleRecord.user_id)
        .outerjoin(Group, Group.id == RoleRecord.group_id)
        .where(seen, matches(paging.search, Domain.path, User.name, Group.name, RoleRecord.role))
    )
    if domain:
        query = query.where(within(Domain.path, [find_domain(session, by, domain).path]))
    if user:
        query = query.where(held_role_by(find_user(session, by, user).record.id))
    if group:
        query = query.where(RoleRecord.group_id == find_group(session, by, group).record.id)
    found = fetch(session, query, paging, path, RoleRecord.id)
    return Page(tuple(_view(*row[:5]) for row in found.rows), found.next, found.total)


def give_role(
    session: Session,
    by: Actor,
    role: RoleName,
    now: float,
    *,
    user: str = "",
    group: str = "",
    domain: str | None = None,
) -> RoleView:
    """Give a user or a group a role in a domain (id or path) and below; None: on the whole server. Idempotent."""
    if bool(user) == bool(group):
        raise InputError("a role is given to either a user or a group")
    place = find_domain(session, by, domain) if domain is not None else None
    must_give(by, Role(role, place.path if place else None))
    holder = find_user(session, by, user) if user else find_group(session, by, group)
    mine = RoleRecord.user_id == holder.record.id if user else RoleRecord.group_id == holder.record.id
    where = RoleRecord.domain_id.is_(None) if place is None else RoleRecord.domain_id == place.id
    known = session.scalars(select(RoleRecord).where(mine, where, RoleRecord.role == role)).one_or_none()
    if known is None:
        known = RoleRecord(
            id=new_id("rol"),
            user_id=holder.record.id if user else None,
            group_id=None if user else holder.record.id,
            domain_id=place.id if place else None,
            role=role,
            created_at=now,
        )
        session.add(known)
        session.flush()
        subject = Subject(holder.record.id, holder.subject.name, place.path if place else "")
        record(session, by, Event.ROLE_GIVEN, subject, now, "done", role=role, domain=place.path if place else None)
    return _one(session, known)


def take_role(session: Session, by: Actor, role_id: str, now: float) -> None:
    """Take a role from its holder; what he does with it ends within two seconds."""
    held = session.get(RoleRecord, role_id)
    if held is None:
        missing("role", role_id)
    place = session.get_one(Domain, held.domain_id).path if held.domain_id is not None else None
    if not by.may(Permission.SEE, place):
        missing("role", role_id)
    must_give(by, Role(held.role, place))  # type: ignore[arg-type]  # the schema's rule
    view = _one(session, held)
    with keeping_an_administrator(session):
        session.delete(held)
    subject = Subject(view.holder_id, view.holder, place or "")
    record(session, by, Event.ROLE_TAKEN, subject, now, "done", role=view.role, domain=place)


def first_administrator(session: Session, by: Actor, user: str, now: float) -> RoleView:
    """Let a user administer the whole server; raises Conflict if somebody does already."""
    if session.scalar(select(RoleRecord.id).where(RoleRecord.domain_id.is_(None), RoleRecord.role == "administrator")):
        raise Conflict("somebody administers the whole server already: he, or `gm roles give`, lets others do so")
    return give_role(session, by, "administrator", now, user=user)


def _one(session: Session, held: RoleRecord) -> RoleView:
    path = session.get_one(Domain, held.domain_id).path if held.domain_id is not None else None
    user = session.get_one(User, held.user_id).name if held.user_id is not None else None
    group = session.get_one(Group, held.group_id) if held.group_id is not None else None
    group_domain = session.get_one(Domain, group.domain_id).path if group is not None else None
    return _view(held, path, user, group.name if group else None, group_domain)


def _view(
    held: RoleRecord, path: str | None, user: str | None, group: str | None, group_domain: str | None
) -> RoleView:
    return RoleView(
        id=held.id,
        role=held.role,  # type: ignore[arg-type]  # the schema's rule
        holder_kind="user" if held.user_id is not None else "group",
        holder_id=held.user_id or held.group_id or "",
        holder=user if user is not None else f"{group_domain}/{group}",
        domain_id=held.domain_id,
        domain=path,
        created_at=held.created_at,
    )

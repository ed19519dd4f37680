"""Groups: people of a domain who get grants and roles together."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import UNSET, Meta, UnsetType
from sqlalchemy import func, or_, select
from sqlalchemy.orm import Session

from gm_server.access.actors import Actor, Permission
from gm_server.audit.events import Event
from gm_server.audit.log import record
from gm_server.database.tables import Domain, Group, GroupMember
from gm_server.exceptions import Conflict
from gm_server.ids import new_id
from gm_server.names import check_name

from .authority import keeping_an_administrator, must_have_power_over_group
from .paging import Page, Paging, fetch, matches
from .sight import sight_of, within
from .subjects import GroupFound, find_domain, find_group, find_user


class GroupView(msgspec.Struct, frozen=True, kw_only=True):
    """A group."""

    id: str
    domain_id: str
    domain: str
    name: str
    path: str
    members: int
    created_at: float


class GroupChange(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is to be different."""

    name: Annotated[str, Meta(min_length=1, max_length=63)] | UnsetType = UNSET


def list_groups(
    session: Session, by: Actor, paging: Paging, now: float, *, domain: str = "", user: str = ""
) -> Page[GroupView]:
    """Return the groups of domains that the actor sees, and his own; ``user``: those that this one is in."""
    seen = sight_of(session, by, now).domains(Domain.path)
    if by.user_id and by.may_see_himself:
        seen = or_(seen, Group.id.in_(select(GroupMember.group_id).where(GroupMember.user_id == by.user_id)))
    query = select(Group, Domain.path).join(Domain, Domain.id == Group.domain_id)
    query = query.where(seen, matches(paging.search, Domain.path, Group.name))
    if domain:
        query = query.where(within(Domain.path, [find_domain(session, by, domain).path]))
    if user:
        member = find_user(session, by, user).record.id
        query = query.where(Group.id.in_(select(GroupMember.group_id).where(GroupMember.user_id == member)))
    found = fetch(session, query, paging, Domain.path, Group.name)
    return Page(_views(session, [GroupFound(row[0], row[1]) for row in found.rows]), found.next, found.total)


def get_group(session: Session, by: Actor, reference: str) -> GroupView:
    """Return one group."""
    return _views(session, [find_group(session, by, reference)])[0]


def add_group(session: Session, by: Actor, domain: str, name: str, now: float) -> GroupView:
    """Make a group in a domain."""
    owner = find_domain(session, by, domain, Permission.CHANGE)
    name = check_name(name, "a group")
    _check_is_free(session, owner, name)
    group = Group(id=new_id("grp"), domain_id=owner.id, name=name, created_at=now)
    session.add(group)
    session.flush()
    found = GroupFound(group, owner.path)
    record(session, by, Event.GROUP_ADDED, found.subject, now)
    return _views(session, [found])[0]


def change_group(session: Session, by: Actor, reference: str, change: GroupChange, now: float) -> GroupView:
    """Give a group another name."""
    found = find_group(session, by, reference, Permission.CHANGE)
    before = found.record.name
    if isinstance(change.name, str) and check_name(change.name, "a group") != before:
        name = check_name(change.name, "a group")
        _check_is_free(session, session.get_one(Domain, found.record.domain_id), name)
        found.record.name = name
        session.flush()
        record(session, by, Event.GROUP_CHANGED, found.subject, now, "done", name=name, name_before=before)
    return _views(session, [found])[0]


def add_member(session: Session, by: Actor, reference: str, user: str, now: float) -> GroupView:
    """Take a user into a group. Idempotent.

    Grants for the group were made for whoever its administrators take in; roles of the group only somebody can pass on
    who could give them himself.
    """
    found = find_group(session, by, reference, Permission.CHANGE)
    member = find_user(session, by, user)
    must_have_power_over_group(session, by, found.record.id)
    if session.get(GroupMember, (found.record.id, member.record.id)) is None:
        session.add(GroupMember(group_id=found.record.id, user_id=member.record.id))
        session.flush()
        record(session, by, Event.GROUP_CHANGED, found.subject, now, "done", member_added=member.record.name)
    return _views(session, [found])[0]


def remove_member(session: Session, by: Actor, reference: str, user: str, now: float) -> GroupView:
    """Take a user out of a group; what he has by it ends within two seconds. Idempotent."""
    found = find_group(session, by, reference, Permission.CHANGE)
    member = find_user(session, by, user)
    must_have_power_over_group(session, by, found.record.id)
    membership = session.get(GroupMember, (found.record.id, member.record.id))
    if membership is not None:
        with keeping_an_administrator(session):
            session.delete(membership)
        record(session, by, Event.GROUP_CHANGED, found.subject, now, "done", member_removed=member.record.name)
    return _views(session, [found])[0]


def remove_group(session: Session, by: Actor, reference: str, now: float) -> None:
    """Remove a group with its grants and roles."""
    found = find_group(session, by, reference, Permission.CHANGE)
    must_have_power_over_group(session, by, found.record.id)
    subject = found.subject
    with keeping_an_administrator(session):
        session.delete(found.record)
    record(session, by, Event.GROUP_REMOVED, subject, now)


def _check_is_free(session: Session, domain: Domain, name: str) -> None:
    if session.scalar(select(Group.id).where(Group.domain_id == domain.id, Group.name == name)) is not None:
        raise Conflict(f"the domain {domain.path} has a group {name} already")


def _views(session: Session, found: list[GroupFound]) -> tuple[GroupView, ...]:
    query = select(GroupMember.group_id, func.count()).group_by(GroupMember.group_id)
    query = query.where(GroupMember.group_id.in_([item.record.id for item in found]))
    members = {row[0]: row[1] for row in session.execute(query)}
    return tuple(
        GroupView(
            id=item.record.id,
            domain_id=item.record.domain_id,
            domain=item.domain,
            name=item.record.name,
            path=item.path,
            members=members.get(item.record.id, 0),
            created_at=item.record.created_at,
        )
        for item in found
    )

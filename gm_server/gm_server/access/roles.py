"""Roles as they stand in the records: each user's own and those of his groups, and the actors that they make."""

from __future__ import annotations

from collections.abc import Collection

import msgspec
from sqlalchemy import or_, select
from sqlalchemy.orm import Session

from gm_server.database.tables import Domain, GroupMember, RoleRecord, User

from .actors import Actor, Permission, Role, Via


def load_actor(
    session: Session, user_id: str, via: Via, address: str, scopes: frozenset[Permission] | None = None
) -> Actor | None:
    """Return a user as somebody who acts now; None if he is gone or disabled.

    Load it in the transaction of the act: then what is decided and what is done see the same roles.
    """
    name = session.scalar(select(User.name).where(User.id == user_id, User.disabled_at.is_(None)))
    if name is None:
        return None
    return Actor(user_id, name, roles_of(session, [user_id])[user_id], via, address, scopes)


def roles_of(session: Session, user_ids: Collection[str]) -> dict[str, tuple[Role, ...]]:
    """Return everybody's roles, those of his groups among them."""
    found: dict[str, set[Role]] = {user_id: set() for user_id in user_ids}
    own = (
        select(RoleRecord.user_id, RoleRecord.role, RoleRecord.domain_id, Domain.path)
        .outerjoin(Domain, Domain.id == RoleRecord.domain_id)
        .where(RoleRecord.user_id.in_(user_ids))
    )
    by_group = (
        select(GroupMember.user_id, RoleRecord.role, RoleRecord.domain_id, Domain.path)
        .join(RoleRecord, RoleRecord.group_id == GroupMember.group_id)
        .outerjoin(Domain, Domain.id == RoleRecord.domain_id)
        .where(GroupMember.user_id.in_(user_ids))
    )
    for query in (own, by_group):
        for user_id, name, domain_id, path in session.execute(query):
            # A role in a domain is never to become one of the whole server, whatever happened to the domain.
            if domain_id is None or path is not None:
                found[user_id].add(Role(name, path))
    return {
        user_id: tuple(sorted(roles, key=lambda role: (role.domain or "", role.name)))
        for user_id, roles in found.items()
    }


def roles_of_group(session: Session, group_id: str) -> tuple[Role, ...]:
    """Return the roles that members of a group have by it."""
    query = select(RoleRecord.role, RoleRecord.domain_id, Domain.path).outerjoin(
        Domain, Domain.id == RoleRecord.domain_id
    )
    return tuple(
        Role(name, path)
        for name, domain_id, path in session.execute(query.where(RoleRecord.group_id == group_id))
        if domain_id is None or path is not None
    )


class ServerAdministrator(msgspec.Struct, frozen=True):
    """Somebody who administers the whole server."""

    user_id: str
    can_log_in: bool
    """Not disabled, and his invitation was redeemed."""


def server_administrators(session: Session) -> tuple[ServerAdministrator, ...]:
    """Return who administers the whole server, by himself or by a group."""
    whole = (RoleRecord.role == "administrator", RoleRecord.domain_id.is_(None))
    own = select(RoleRecord.user_id).where(*whole, RoleRecord.user_id.is_not(None))
    by_group = select(GroupMember.user_id).join(RoleRecord, RoleRecord.group_id == GroupMember.group_id).where(*whole)
    query = select(User.id, User.password_hash, User.disabled_at).where(or_(User.id.in_(own), User.id.in_(by_group)))
    return tuple(
        ServerAdministrator(user_id, password_hash is not None and disabled_at is None)
        for user_id, password_hash, disabled_at in session.execute(query.order_by(User.id))
    )

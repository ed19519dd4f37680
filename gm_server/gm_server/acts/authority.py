"""Power over people: nobody gives more than he has, and nobody takes over who has more than he.

Whoever may change an account (its mail address, its invitation) can log in as its owner. So an account can be changed
only by somebody who could give every role that it has; the same goes for who is in a group that has roles.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from sqlalchemy.orm import Session

from gm_server.access.actors import PERMISSIONS, Actor, Permission, Role
from gm_server.access.roles import roles_of, roles_of_group, server_administrators
from gm_server.exceptions import Conflict, Forbidden


def can_give(by: Actor, role: Role) -> bool:
    """Whether the actor administers where the role holds, and may himself do all that it allows."""
    return by.may(Permission.CHANGE, role.domain) and all(
        by.may(permission, role.domain) for permission in PERMISSIONS[role.name]
    )


def must_give(by: Actor, role: Role) -> None:
    """Raise Forbidden unless the actor can give this role."""
    if not can_give(by, role):
        where = f"in {role.domain}" if role.domain is not None else "on the whole server"
        raise Forbidden(f"you cannot give or take the role {role.name} {where}: you do not administer there")


def must_have_power_over(session: Session, by: Actor, user_id: str) -> None:
    """Raise Forbidden unless the actor could give every role that a user has."""
    _must_all(by, roles_of(session, [user_id])[user_id], "this user")


def must_have_power_over_group(session: Session, by: Actor, group_id: str) -> None:
    """Raise Forbidden unless the actor could give every role that a group has."""
    _must_all(by, roles_of_group(session, group_id), "this group")


@contextmanager
def keeping_an_administrator(session: Session) -> Iterator[None]:
    """Raise Conflict at the end of the block if nobody can log in and administer the whole server any more."""
    before = any(administrator.can_log_in for administrator in server_administrators(session))
    yield
    session.flush()
    if before and not any(administrator.can_log_in for administrator in server_administrators(session)):
        raise Conflict(
            "nobody would be left who administers the whole server: give this role to somebody else first, "
            "who has logged in already"
        )


def _must_all(by: Actor, roles: Iterable[Role], whom: str) -> None:
    if not all(can_give(by, role) for role in roles):
        raise Forbidden(f"{whom} has roles that you cannot give: ask an administrator who can")

"""To whom a letter about a domain goes: people whose roles let them decide there, or look after it."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
from sqlalchemy import select
from sqlalchemy.orm import Session

from gm_server.access.actors import PERMISSIONS, Permission
from gm_server.access.roles import roles_of
from gm_server.database.tables import User


class Person(msgspec.Struct, frozen=True):
    """Somebody with an address."""

    user_id: str
    name: str
    email: str


def people_who_may(session: Session, permission: Permission, domain: str | None) -> Sequence[Person]:
    """Return who may do it there (None: on the whole server), has an address and is not disabled, by name."""
    query = select(User.id, User.name, User.email).where(User.disabled_at.is_(None), User.email != "")
    people = [Person(*row) for row in session.execute(query.order_by(User.name))]
    roles = roles_of(session, [person.user_id for person in people])
    return [
        person
        for person in people
        if any(permission in PERMISSIONS[role.name] and role.holds_in(domain) for role in roles[person.user_id])
    ]

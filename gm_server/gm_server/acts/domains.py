"""Domains: the tree that owns everything. A domain is its parent's to name, move and remove."""

from __future__ import annotations

from typing import Literal

import msgspec
from msgspec import UNSET, UnsetType
from sqlalchemy import func, select
from sqlalchemy.orm import Session
from sqlalchemy.orm.attributes import InstrumentedAttribute

from gatelink.exceptions import InputError
from gm_server.access.actors import Actor, Permission
from gm_server.appliances import domains as records
from gm_server.audit.events import Event
from gm_server.audit.log import record
from gm_server.database.tables import LOGIN_METHODS, Appliance, Domain, User
from gm_server.names import check_path

from .changes import differences
from .paging import Page, Paging, fetch, matches
from .sight import sight_of, within
from .subjects import domain_subject, find_domain

LoginMethod = Literal["certificate", "certificate+sms", "password+sms", "password"]


class DomainView(msgspec.Struct, frozen=True):
    """A domain."""

    id: str
    path: str
    parent_id: str | None
    login_method: LoginMethod | None
    """Of its users; None inherits."""
    created_at: float
    appliances: int
    """Directly in it, as are the users."""
    users: int


class DomainChange(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is to be different."""

    path: str | UnsetType = UNSET
    """Another name or another place, with all that lies in it."""
    login_method: LoginMethod | UnsetType | None = UNSET


def list_domains(session: Session, by: Actor, paging: Paging, now: float, below: str = "") -> Page[DomainView]:
    """Return the domains that the actor sees, by path; ``below``: only this one and those in it (id or path)."""
    query = select(Domain).where(sight_of(session, by, now).domains(Domain.path), matches(paging.search, Domain.path))
    if below:
        query = query.where(within(Domain.path, [find_domain(session, by, below).path]))
    found = fetch(session, query, paging, Domain.path)
    return Page(_views(session, [row[0] for row in found.rows]), found.next, found.total)


def get_domain(session: Session, by: Actor, reference: str) -> DomainView:
    """Return one domain."""
    return _views(session, [find_domain(session, by, reference)])[0]


def add_domain(
    session: Session, by: Actor, path: str, now: float, login_method: LoginMethod | None = None
) -> DomainView:
    """Make a domain below an existing one, or at the top."""
    path = check_path(path)
    _must_change_parent(session, by, path)
    domain = records.add_domain(session, path, now)
    domain.login_method = _check_login_method(login_method)
    record(session, by, Event.DOMAIN_ADDED, domain_subject(domain), now)
    return _views(session, [domain])[0]


def change_domain(session: Session, by: Actor, reference: str, change: DomainChange, now: float) -> DomainView:
    """Change a domain's login method, name or place."""
    domain = find_domain(session, by, reference, Permission.CHANGE)
    before = {"path": domain.path, "login_method": domain.login_method}
    if isinstance(change.path, str) and check_path(change.path) != domain.path:
        _must_change_parent(session, by, domain.path)
        _must_change_parent(session, by, check_path(change.path))
        records.rename_domain(session, domain.path, change.path)
    if change.login_method is not UNSET:
        domain.login_method = _check_login_method(change.login_method)
    session.flush()
    changed = differences(before, {"path": domain.path, "login_method": domain.login_method})
    if changed:
        record(session, by, Event.DOMAIN_CHANGED, domain_subject(domain), now, "done", **changed)
    return _views(session, [domain])[0]


def remove_domain(session: Session, by: Actor, reference: str, now: float) -> None:
    """Remove an empty domain, with the roles and grants that named it."""
    domain = find_domain(session, by, reference, Permission.CHANGE)
    _must_change_parent(session, by, domain.path)
    subject = domain_subject(domain)
    records.remove_domain(session, domain.path)
    record(session, by, Event.DOMAIN_REMOVED, subject, now)


def _must_change_parent(session: Session, by: Actor, path: str) -> None:
    parent, _, _ = path.rpartition("/")
    if parent:
        find_domain(session, by, parent, Permission.CHANGE)
    else:
        by.must_serve()


def _check_login_method(method: str | None) -> str | None:
    if method is not None and method not in LOGIN_METHODS:
        raise InputError(f"expected a login method ({', '.join(LOGIN_METHODS)}), got {method[:40]!r}")
    return method


def _views(session: Session, domains: list[Domain]) -> tuple[DomainView, ...]:
    ids = [domain.id for domain in domains]
    appliances, users = _counts(session, Appliance.domain_id, ids), _counts(session, User.domain_id, ids)
    return tuple(
        DomainView(
            id=domain.id,
            path=domain.path,
            parent_id=domain.parent_id,
            login_method=domain.login_method,  # type: ignore[arg-type]  # the schema's rule
            created_at=domain.created_at,
            appliances=appliances.get(domain.id, 0),
            users=users.get(domain.id, 0),
        )
        for domain in domains
    )


def _counts(session: Session, column: InstrumentedAttribute[str], ids: list[str]) -> dict[str, int]:
    query = select(column, func.count()).where(column.in_(ids)).group_by(column)
    return {row[0]: row[1] for row in session.execute(query)}

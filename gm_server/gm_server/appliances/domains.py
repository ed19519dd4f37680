"""The tree of domains. Its paths are kept with each node, so that a name is unique and a subtree a prefix."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import func, or_, select
from sqlalchemy.orm import Session

from gm_server.database.tables import Appliance, Domain, Group, User
from gm_server.exceptions import Conflict, NotFound
from gm_server.ids import new_id
from gm_server.names import check_path


def add_domain(session: Session, path: str, now: float) -> Domain:
    """Make a domain below an existing one, or at the top."""
    path = check_path(path)
    parent_path, _, _ = path.rpartition("/")
    parent = get_domain(session, parent_path) if parent_path else None
    if _find(session, path) is not None:
        raise Conflict(f"the domain {path} exists already")
    domain = Domain(id=new_id("dom"), parent_id=parent.id if parent else None, path=path, created_at=now)
    session.add(domain)
    session.flush()
    return domain


def get_domain(session: Session, path: str) -> Domain:
    """Return the domain of a path; raises NotFound."""
    domain = _find(session, check_path(path))
    if domain is None:
        raise NotFound(f"there is no domain {path}; `gm domains add {path}` makes it")
    return domain


def list_domains(session: Session) -> Sequence[Domain]:
    """Return all domains by path."""
    return session.scalars(select(Domain).order_by(Domain.path)).all()


def rename_domain(session: Session, path: str, new_path: str) -> Domain:
    """Give a domain another name or another place in the tree, with all that lies in it."""
    domain = get_domain(session, path)
    new_path = check_path(new_path)
    if new_path == domain.path or new_path.startswith(domain.path + "/"):
        raise Conflict(f"the domain {domain.path} cannot be moved into itself")
    parent_path, _, _ = new_path.rpartition("/")
    parent = get_domain(session, parent_path) if parent_path else None
    if _find(session, new_path) is not None:
        raise Conflict(f"the domain {new_path} exists already")
    old_path = domain.path
    for below in _subtree(session, old_path):
        below.path = check_path(new_path + below.path.removeprefix(old_path))
    domain.parent_id = parent.id if parent else None
    session.flush()
    return domain


def remove_domain(session: Session, path: str) -> None:
    """Remove an empty domain."""
    domain = get_domain(session, path)
    inside = (
        (select(func.count()).where(Domain.parent_id == domain.id), "domains"),
        (select(func.count()).where(Appliance.domain_id == domain.id), "appliances"),
        (select(func.count()).where(User.domain_id == domain.id), "users"),
        (select(func.count()).where(Group.domain_id == domain.id), "groups"),
    )
    for query, what in inside:
        if count := session.scalar(query):
            raise Conflict(f"the domain {domain.path} still holds {count} {what}: move or remove them first")
    session.delete(domain)
    session.flush()


def _find(session: Session, path: str) -> Domain | None:
    return session.scalars(select(Domain).where(Domain.path == path)).one_or_none()


def _subtree(session: Session, path: str) -> Sequence[Domain]:
    below = Domain.path.startswith(path + "/", autoescape=True)
    return session.scalars(select(Domain).where(or_(Domain.path == path, below))).all()

"""Users: added, changed, disabled, removed by administrators of their domain. What is one's own: ``people``."""

from __future__ import annotations

import re
from typing import Annotated, Final, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType
from sqlalchemy import delete, or_, select
from sqlalchemy.orm import Session

from gatelink.exceptions import InputError
from gm_server.access.actors import Actor, Permission
from gm_server.accounts import users as records
from gm_server.audit.events import Event
from gm_server.audit.log import record
from gm_server.database.tables import Domain, Group, GroupMember, RoleRecord, User, WebSession
from gm_server.exceptions import Conflict
from gm_server.names import check_name, check_text

from .authority import keeping_an_administrator, must_have_power_over
from .changes import differences, wanted
from .domains import LoginMethod
from .paging import Page, Paging, fetch, matches
from .sight import Sight, sight_of, within
from .subjects import UserFound, find_domain, find_group, find_user

UserState = Literal["invited", "active", "disabled"]
Email = Annotated[str, Meta(max_length=254, pattern="^([^@\\s]+@[^@\\s]+)?$")]
Phone = Annotated[str, Meta(max_length=24, pattern="^(\\+[0-9]{6,20})?$")]
_EMAIL: Final = re.compile(r"[^@\s]+@[^@\s]+")
_PHONE: Final = re.compile(r"\+[0-9]{6,20}")


class UserRole(msgspec.Struct, frozen=True):
    """A role that a user has."""

    role: str
    domain: str | None
    """None: the whole server."""
    group: str | None
    """By which group he has it."""


class UserView(msgspec.Struct, frozen=True, kw_only=True):
    """A user."""

    id: str
    domain_id: str
    domain: str
    name: str
    full_name: str
    email: str
    phone: str
    language: str
    login_method: LoginMethod | None
    """None: his domain's."""
    state: UserState
    """``invited``: has no password yet."""
    created_at: float
    last_login_at: float | None
    password_changed_at: float | None
    roles: tuple[UserRole, ...] = ()
    groups: tuple[str, ...] = ()
    """Paths."""


class NewUser(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A user to add."""

    name: Annotated[str, Meta(min_length=1, max_length=63)]
    domain: str
    """Id or path."""
    full_name: Annotated[str, Meta(max_length=128)] = ""
    email: Email = ""
    phone: Phone = ""
    language: Annotated[str, Meta(max_length=8)] = ""
    login_method: LoginMethod | None = None


class UserChange(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What is to be different."""

    name: Annotated[str, Meta(min_length=1, max_length=63)] | UnsetType = UNSET
    domain: str | UnsetType = UNSET
    """Id or path of the domain that he is to belong to."""
    full_name: Annotated[str, Meta(max_length=128)] | UnsetType = UNSET
    email: Email | UnsetType = UNSET
    phone: Phone | UnsetType = UNSET
    language: Annotated[str, Meta(max_length=8)] | UnsetType = UNSET
    login_method: LoginMethod | UnsetType | None = UNSET


def list_users(
    session: Session,
    by: Actor,
    paging: Paging,
    now: float,
    *,
    domain: str = "",
    group: str = "",
    state: UserState | None = None,
) -> Page[UserView]:
    """Return the users of domains that the actor sees, and himself, by name; ``group``: its members."""
    sight = sight_of(session, by, now)
    seen = sight.domains(Domain.path)
    if by.user_id and by.may_see_himself:
        seen = or_(seen, User.id == by.user_id)
    query = select(User, Domain.path).join(Domain, Domain.id == User.domain_id).where(seen)
    query = query.where(matches(paging.search, User.name, User.full_name, User.email))
    if domain:
        query = query.where(within(Domain.path, [find_domain(session, by, domain).path]))
    if group:
        members = select(GroupMember.user_id)
        query = query.where(
            User.id.in_(members.where(GroupMember.group_id == find_group(session, by, group).record.id))
        )
    if state == "disabled":
        query = query.where(User.disabled_at.is_not(None))
    elif state is not None:
        has_password = User.password_hash.is_not(None) if state == "active" else User.password_hash.is_(None)
        query = query.where(User.disabled_at.is_(None), has_password)
    found = fetch(session, query, paging, User.name)
    return Page(_views(session, sight, [UserFound(row[0], row[1]) for row in found.rows]), found.next, found.total)


def get_user(session: Session, by: Actor, reference: str, now: float) -> UserView:
    """Return one user."""
    return _views(session, sight_of(session, by, now), [find_user(session, by, reference)])[0]


def add_user(session: Session, by: Actor, new: NewUser, now: float) -> UserView:
    """Make a user, who cannot log in before an invitation is redeemed."""
    owner = find_domain(session, by, new.domain, Permission.CHANGE)
    user = records.add_user(session, new.name, owner.path, now)
    _write(user, {name: value for name, value in wanted(new).items() if name not in ("name", "domain")})
    session.flush()
    found = UserFound(user, owner.path)
    record(session, by, Event.USER_ADDED, found.subject, now)
    return _views(session, sight_of(session, by, now), [found])[0]


def change_user(session: Session, by: Actor, reference: str, change: UserChange, now: float) -> UserView:
    """Change a user's name, domain, how he is reached, how he logs in."""
    found = _find(session, by, reference)
    user, before = found.record, _changeable(found)
    fields = wanted(change)
    domain, name = fields.pop("domain", None), fields.pop("name", None)
    path = found.domain
    if domain is not None:
        target = find_domain(session, by, domain, Permission.CHANGE)
        user.domain_id, path = target.id, target.path
    if name is not None and check_name(name, "a user") != user.name:
        name = check_name(name, "a user")
        if session.scalar(select(User.id).where(User.name == name)) is not None:
            raise Conflict(f"there is a user {name} already")
        user.name = name
    _write(user, fields)
    session.flush()
    moved = UserFound(user, path)
    changed = differences(before, _changeable(moved))
    if changed:
        record(session, by, Event.USER_CHANGED, moved.subject, now, "done", **changed)
    return _views(session, sight_of(session, by, now), [moved])[0]


def disable_user(session: Session, by: Actor, reference: str, now: float) -> UserView:
    """Let a user in no more; what he has open ends within two seconds. Idempotent."""
    found = _find(session, by, reference)
    if found.record.disabled_at is None:
        with keeping_an_administrator(session):
            records.disable_user(session, found.record.name, now)
        session.execute(delete(WebSession).where(WebSession.user_id == found.record.id))
        record(session, by, Event.USER_DISABLED, found.subject, now)
    return _views(session, sight_of(session, by, now), [found])[0]


def enable_user(session: Session, by: Actor, reference: str, now: float) -> UserView:
    """Let a disabled user in again. Idempotent."""
    found = _find(session, by, reference)
    if found.record.disabled_at is not None:
        records.enable_user(session, found.record.name)
        record(session, by, Event.USER_ENABLED, found.subject, now)
    return _views(session, sight_of(session, by, now), [found])[0]


def remove_user(session: Session, by: Actor, reference: str, now: float) -> None:
    """Remove a user with certificates, invitations, roles and grants; the history keeps the name."""
    found = _find(session, by, reference)
    subject = found.subject
    with keeping_an_administrator(session):
        records.remove_user(session, found.record.name)
    record(session, by, Event.USER_REMOVED, subject, now)


def check_email(email: str) -> str:
    """Return a mail address, or nothing; raises InputError."""
    if email and (len(email) > 254 or not email.isprintable() or not _EMAIL.fullmatch(email)):
        raise InputError(f"expected a mail address like ada@example.com, got {email[:60]!r}")
    return email


def check_phone(phone: str) -> str:
    """Return a phone number without spaces, or nothing; raises InputError."""
    number = re.sub(r"[\s()/-]", "", phone)
    if number and not _PHONE.fullmatch(number):
        raise InputError(f"expected an international phone number like +4915112345678, got {phone[:40]!r}")
    return number


def _find(session: Session, by: Actor, reference: str) -> UserFound:
    found = find_user(session, by, reference, Permission.CHANGE)
    must_have_power_over(session, by, found.record.id)
    return found


def _write(user: User, fields: dict[str, str | None]) -> None:
    for name, value in fields.items():
        if name == "email":
            user.email = check_email(value or "")
        elif name == "phone":
            user.phone = check_phone(value or "")
        elif name == "login_method":
            user.login_method = value
        else:
            setattr(user, name, check_text(value or "", f"the {name.replace('_', ' ')}", 128))


def _changeable(found: UserFound) -> dict[str, str | None]:
    user = found.record
    fields = {name: getattr(user, name) for name in ("name", "full_name", "email", "phone", "language", "login_method")}
    return {**fields, "domain": found.domain}


def _views(session: Session, sight: Sight, found: list[UserFound]) -> tuple[UserView, ...]:
    ids = [item.record.id for item in found]
    roles: dict[str, list[UserRole]] = {}
    groups: dict[str, list[str]] = {}
    own = (
        select(RoleRecord.user_id, RoleRecord.role, RoleRecord.domain_id, Domain.path)
        .outerjoin(Domain, Domain.id == RoleRecord.domain_id)
        .where(RoleRecord.user_id.in_(ids))
    )
    for user_id, role, domain_id, path in session.execute(own):
        if _shows(sight, user_id, domain_id, path):
            roles.setdefault(user_id, []).append(UserRole(role, path, None))
    member_of = (
        select(GroupMember.user_id, Group.id, Domain.path + "/" + Group.name, Domain.path)
        .join(Group, Group.id == GroupMember.group_id)
        .join(Domain, Domain.id == Group.domain_id)
        .where(GroupMember.user_id.in_(ids))
    )
    names: dict[str, list[tuple[str, str]]] = {}
    for user_id, group_id, group, path in session.execute(member_of):
        if _shows(sight, user_id, "", path):
            groups.setdefault(user_id, []).append(group)
            names.setdefault(group_id, []).append((user_id, group))
    by_group = (
        select(RoleRecord.group_id, RoleRecord.role, RoleRecord.domain_id, Domain.path)
        .outerjoin(Domain, Domain.id == RoleRecord.domain_id)
        .where(RoleRecord.group_id.in_(names))
    )
    for group_id, role, domain_id, path in session.execute(by_group):
        for user_id, group in names[group_id]:
            if _shows(sight, user_id, domain_id, path):
                roles.setdefault(user_id, []).append(UserRole(role, path, group))
    return tuple(_view(item, roles.get(item.record.id, []), groups.get(item.record.id, [])) for item in found)


def _shows(sight: Sight, user_id: str, domain_id: str | None, path: str | None) -> bool:
    """Roles and groups elsewhere are none of the actor's business; roles of the whole server are above everybody."""
    return user_id == sight.by.user_id or domain_id is None or (path is not None and sight.is_whole(path))


def _view(found: UserFound, roles: list[UserRole], groups: list[str]) -> UserView:
    user = found.record
    return UserView(
        id=user.id,
        domain_id=user.domain_id,
        domain=found.domain,
        name=user.name,
        full_name=user.full_name,
        email=user.email,
        phone=user.phone,
        language=user.language,
        login_method=user.login_method,  # type: ignore[arg-type]  # the schema's rule
        state="disabled" if user.disabled_at is not None else "active" if user.password_hash else "invited",
        created_at=user.created_at,
        last_login_at=user.last_login_at,
        password_changed_at=user.password_changed_at,
        roles=tuple(sorted(roles, key=lambda role: (role.domain or "", role.role))),
        groups=tuple(sorted(groups)),
    )

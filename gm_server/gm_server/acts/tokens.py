"""API tokens: made by whom they act for, revoked by him or by administrators who have power over him.

A token makes no tokens: one that leaked could live for ever.
"""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta
from sqlalchemy import or_, select
from sqlalchemy.orm import Session

from gm_server.access import tokens as records
from gm_server.access.actors import Actor, Permission
from gm_server.audit.events import Event
from gm_server.audit.log import Detail, record
from gm_server.database.tables import ApiToken, Domain, User
from gm_server.exceptions import Forbidden

from .authority import must_have_power_over
from .paging import Page, Paging, fetch, matches
from .sight import sight_of
from .subjects import UserFound, find_user, missing

Scope = Literal["read", "connect", "approve", "change"]


class TokenView(msgspec.Struct, frozen=True, kw_only=True):
    """A token, without its secret."""

    id: str
    user_id: str
    user: str
    name: str
    scopes: tuple[Scope, ...]
    state: Literal["valid", "expired", "revoked"]
    created_at: float
    expires_at: float
    last_used_at: float | None


class TokenMade(TokenView, frozen=True, kw_only=True):
    """A token with its secret, which is shown this once."""

    secret: str


class NewToken(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A token to make."""

    name: Annotated[str, Meta(min_length=1, max_length=63)]
    """What it is for."""
    scopes: tuple[Scope, ...] = ("read",)
    days: Annotated[float, Meta(gt=0, le=records.MAX_DAYS)] = 90


def list_tokens(session: Session, by: Actor, paging: Paging, now: float, user: str = "") -> Page[TokenView]:
    """Return the actor's own tokens and those of users in domains that he sees, newest first."""
    seen = sight_of(session, by, now).domains(Domain.path)
    if by.user_id and by.may_see_himself:
        seen = or_(seen, User.id == by.user_id)
    query = (
        select(ApiToken, User.name)
        .join(User, User.id == ApiToken.user_id)
        .join(Domain, Domain.id == User.domain_id)
        .where(seen, matches(paging.search, ApiToken.name, User.name))
    )
    if user:
        query = query.where(User.id == find_user(session, by, user).record.id)
    found = fetch(session, query, paging, ApiToken.created_at, ApiToken.id, descending=True)
    return Page(tuple(_view(row[0], row[1], now) for row in found.rows), found.next, found.total)


def make_token(session: Session, by: Actor, new: NewToken, now: float, user: str = "") -> TokenMade:
    """Make a token for the actor; on the server's own command line also for another ``user``."""
    if by.scopes is not None:
        raise Forbidden("a token cannot make tokens: sign in to the portal to make one")
    if user and by.via != "cli":
        raise Forbidden("a token is made by whom it acts for")
    owner = find_user(session, by, user or by.user_id)
    token, secret = records.make_token(session, owner.record.id, new.name, new.scopes, new.days, now)
    details: dict[str, Detail] = {"token": token.id, "scopes": token.scopes, "expires_at": token.expires_at}
    record(session, by, Event.TOKEN_MADE, owner.subject, now, "done", name=new.name, **details)
    return TokenMade(**msgspec.structs.asdict(_view(token, owner.record.name, now)), secret=secret)


def revoke_token(session: Session, by: Actor, token_id: str, now: float) -> TokenView:
    """Let a token be of no use from now on. Idempotent."""
    token = session.get(ApiToken, token_id)
    if token is None:
        missing("token", token_id)
    owner = session.get_one(User, token.user_id)
    domain = session.get_one(Domain, owner.domain_id).path
    if owner.id != by.user_id:
        by.must(Permission.CHANGE, domain, f"token {token_id[:80]}")
        must_have_power_over(session, by, owner.id)
    elif by.scopes is not None and Permission.CHANGE not in by.scopes:
        raise Forbidden("this token may not change anything")
    if token.revoked_at is None:
        token.revoked_at = now
        session.flush()
        record(session, by, Event.TOKEN_REVOKED, UserFound(owner, domain).subject, now, "done", token=token.id)
    return _view(token, owner.name, now)


def _view(token: ApiToken, user: str, now: float) -> TokenView:
    return TokenView(
        id=token.id,
        user_id=token.user_id,
        user=user,
        name=token.name,
        scopes=tuple(token.scopes.split()),  # type: ignore[arg-type]  # written by ``make_token``
        state="revoked" if token.revoked_at is not None else "expired" if now >= token.expires_at else "valid",
        created_at=token.created_at,
        expires_at=token.expires_at,
        last_used_at=token.last_used_at,
    )

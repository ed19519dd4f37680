"""Who a browser is: the session behind its cookie, and the person of that session with his roles as they are now.

The cookie holds 32 random bytes that the records know by their hash alone. ``__Host-`` binds it to this host and to
HTTPS; the browser's scripts cannot read it.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Callable
from typing import Concatenate, Final, ParamSpec, TypeVar

import msgspec
from sqlalchemy import select
from sqlalchemy.orm import Session
from starlette.requests import Request

from gatelink.exceptions import GatelinkError
from gm_server.access.actors import Actor
from gm_server.access.roles import load_actor
from gm_server.accounts.web_sessions import IDLE_S, SECRET_BYTES
from gm_server.acts.overview import waiting_for
from gm_server.database.tables import User, WebSession

COOKIE: Final = "__Host-gatelink"
P = ParamSpec("P")
R = TypeVar("R")


class SignedOut(GatelinkError):
    """The session is over, or its person may not be here any more."""


class Visitor(msgspec.Struct, frozen=True):
    """A person who is signed in with a browser."""

    session_id: str
    secret: bytes
    actor: Actor
    language: str
    confirmed_at: float
    """When he last proved himself."""
    last_seen_at: float
    certificate_sha256: bytes | None
    """Of the client certificate to which the session is bound: it is of no use without it."""


class Rail(msgspec.Struct, frozen=True):
    """What the bar at the side shows of this person."""

    sees_people: bool
    """He has a role somewhere."""
    changes: bool
    """He administers something: for what is offered."""
    waiting: int
    requests: int
    alarms: int


class Entered(msgspec.Struct, frozen=True):
    """A visitor, and what the frame of each page says to him."""

    visitor: Visitor
    rail: Rail


def secret_of(request: Request) -> bytes | None:
    """Return the secret in the request's cookie; None if there is none that could be ours."""
    text = request.cookies.get(COOKIE, "")
    try:
        secret = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        return None
    return secret if len(secret) == SECRET_BYTES else None


def cookie_text(secret: bytes) -> str:
    """Return a secret as the cookie carries it."""
    return base64.urlsafe_b64encode(secret).rstrip(b"=").decode()


def find_visitor(session: Session, secret: bytes, address: str, now: float) -> Visitor | None:
    """Return who is signed in with this secret."""
    digest = hashlib.sha256(secret).digest()
    row = session.execute(
        select(
            WebSession.id,
            WebSession.user_id,
            WebSession.confirmed_at,
            WebSession.last_seen_at,
            WebSession.certificate_sha256,
            User.language,
        )
        .join(User, User.id == WebSession.user_id)
        .where(
            WebSession.secret_sha256 == digest,
            WebSession.expires_at > now,
            WebSession.last_seen_at > now - IDLE_S,
        )
    ).one_or_none()
    actor = load_actor(session, row.user_id, "portal", address) if row is not None else None
    if row is None or actor is None:
        return None
    return Visitor(row.id, secret, actor, row.language, row.confirmed_at, row.last_seen_at, row.certificate_sha256)


def enter(session: Session, secret: bytes, address: str, now: float) -> Entered | None:
    """Return who is signed in with this secret, and what waits for him."""
    visitor = find_visitor(session, secret, address, now)
    if visitor is None:
        return None
    waiting = waiting_for(session, visitor.actor)
    sees_people = visitor.actor.seen_domains != ()
    changes = any(role.name == "administrator" for role in visitor.actor.roles)
    return Entered(visitor, Rail(sees_people, changes, waiting.appliances, waiting.requests, waiting.alarms))


def as_visitor(
    session: Session,
    secret: bytes,
    address: str,
    now: float,
    work: Callable[Concatenate[Session, Actor, P], R],
    *args: P.args,
    **kwargs: P.kwargs,
) -> R:
    """Do ``work`` for who is signed in with this secret, in the very transaction that found him; raises SignedOut."""
    visitor = find_visitor(session, secret, address, now)
    if visitor is None:
        raise SignedOut("you are signed out")
    return work(session, visitor.actor, *args, **kwargs)

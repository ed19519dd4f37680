"""What anybody may say on any connection, the GM's first words to strangers, and its answers."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from .shapes import Address, Identifier, Message, Name, RequestId, Resume, Seconds, SuccessionStatement, Text


class Refusal(Message, frozen=True):
    """A no. ``request_id`` is set when it answers a request; without one the connection ends."""

    code: Identifier
    text: Text
    request_id: RequestId | None = None


class Ping(Message, frozen=True):
    """Keepalive; answered with a Pong of the same token."""

    token: RequestId


class Pong(Message, frozen=True):
    """The answer to a Ping."""

    token: RequestId


class GmHello(Message, frozen=True):
    """Who the GM says it is, its time, and how its certificate came to follow earlier ones (oldest first)."""

    name: Name
    unix_time_s: Seconds
    statements: Annotated[tuple[SuccessionStatement, ...], Meta(max_length=32)] = ()


class Welcome(Message, frozen=True):
    """The login is good."""

    gm_name: Name
    peer_id: Identifier
    name: Name
    domain: Annotated[str, Meta(max_length=512)]
    unix_time_s: Seconds
    keepalive_s: Annotated[float, Meta(ge=1, le=3600)]
    gm_addresses: Annotated[tuple[Address, ...], Meta(max_length=16)] = ()
    """Under which the GM can be reached at present; kept by the party beside what it was told first."""
    resume: Resume = b""
    """LMs only: said in the next UserLogin it stands for the second factor, so that a broken line asks nobody for a
    code. Kept in memory alone; good for a while, with this certificate, until the password changes."""


class Done(Message, frozen=True):
    """The answer to a request that has nothing to return."""

    request_id: RequestId

"""A session: asked for by the LM, opened, changed and ended by the GM, joined by the relay."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from .shapes import (
    Counter,
    Der,
    Devices,
    Identifier,
    Ipv4,
    Message,
    Mode,
    Name,
    RequestId,
    Seconds,
    Text,
    Ticket,
    TunnelAddresses,
)


class Connect(Message, frozen=True):
    """Asks for a session. No ``device_ids`` means every granted device of the appliance."""

    request_id: RequestId
    appliance_id: Identifier
    device_ids: Annotated[tuple[Identifier, ...], Meta(max_length=512)] = ()
    mode: Mode = "routed"
    reason: Text = ""
    resume_session_id: Identifier | None = None
    """A session of this user with this appliance that broke: it is ended and its addresses are kept."""
    avoid: Annotated[tuple[Ipv4, ...], Meta(max_length=528)] = ()
    """What the GM gave and what is in use there, for another GM gave it, too: this PC's ends of tunnels, and devices'
    virtual addresses."""
    for_relays: bool = False
    """What the user's permanent relays need there, no more and no less; ``device_ids`` are not looked at."""


class Disconnect(Message, frozen=True):
    """Asks for the end of a session of one's own."""

    request_id: RequestId
    session_id: Identifier


class OpenSession(Message, frozen=True):
    """Tells the SM to open its leg of a session and what to allow in it."""

    session_id: Identifier
    ticket: Ticket
    peer_certificate: Der
    """The LM's: the only one to accept in the end-to-end TLS."""
    user: Name
    reason: Text
    tunnel: TunnelAddresses
    devices: Devices
    mode: Mode = "routed"
    ends_at: Seconds | None = None
    """Unix time by the GM's clock."""


class ChangeSession(Message, frozen=True):
    """The grants of a running session changed: the full new state."""

    session_id: Identifier
    devices: Devices
    ends_at: Seconds | None = None


class EndSession(Message, frozen=True):
    """End this session at once. Idempotent."""

    session_id: Identifier
    code: Identifier
    reason: Text


class Connected(Message, frozen=True):
    """The answer to Connect: what the LM needs to open its leg and to set its routes."""

    request_id: RequestId
    session_id: Identifier
    ticket: Ticket
    peer_certificate: Der
    """The SM's: the only one to accept in the end-to-end TLS."""
    appliance_id: Identifier
    name: Name
    domain: Annotated[str, Meta(max_length=512)]
    tunnel: TunnelAddresses
    devices: Devices
    mode: Mode = "routed"
    ends_at: Seconds | None = None


class SessionRefused(Message, frozen=True):
    """The SM cannot open a session."""

    session_id: Identifier
    code: Identifier
    text: Text


class SessionEnded(Message, frozen=True):
    """A session is over at this end. Bytes are Ethernet frames' as this end counted them."""

    session_id: Identifier
    reason: Text
    bytes_sent: Counter = 0
    bytes_received: Counter = 0


class RelayHello(Message, frozen=True):
    """Presents the single-use ticket of a session."""

    ticket: Ticket


class RelayJoined(Message, frozen=True):
    """Both legs are here: end TLS now (close_notify), then speak end to end."""

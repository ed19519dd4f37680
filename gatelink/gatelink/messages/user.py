"""control, LM and GM: the login, the tree of appliances, requests for access."""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias

import msgspec
from msgspec import Meta

from .shapes import (
    ApplianceView,
    Counter,
    Identifier,
    Message,
    Name,
    Password,
    PinAlarms,
    Port,
    RequestId,
    Resume,
    Route,
    Seconds,
    Text,
)


class UserLogin(Message, frozen=True):
    """The first message of an LM. Who it is follows from its certificate; the password proves the person."""

    software: Text
    route: Route
    password: Password
    pin_alarms: PinAlarms = ()
    resume: Resume = b""
    """From the last welcome, instead of a second factor."""


class ListAppliances(Message, frozen=True):
    """Asks for the appliances that the user may see, from behind ``after`` (an ``appliance_id``) on."""

    request_id: RequestId
    after: Annotated[str, Meta(max_length=64)] = ""


class ApplianceList(Message, frozen=True):
    """One page of the answer to ListAppliances; ``more`` says to ask again behind the last one."""

    request_id: RequestId
    appliances: Annotated[tuple[ApplianceView, ...], Meta(max_length=512)]
    more: bool


class WatchTree(Message, frozen=True):
    """Asks to be told of changes of the tree from now on; answered with Done."""

    request_id: RequestId


class TreeChanged(Message, frozen=True):
    """What ListAppliances would answer is no more what it was. At most once a second."""


class RequestAccess(Message, frozen=True):
    """Asks the approvers for what a grant with approval would open; answered with AccessRequested."""

    request_id: RequestId
    appliance_id: Identifier
    reason: Annotated[str, Meta(min_length=1, max_length=512)]
    device_ids: Annotated[tuple[Identifier, ...], Meta(max_length=512)] = ()
    """None: every requestable device of the appliance."""
    valid_from: Seconds | None = None
    """None: from the approval on."""
    duration_s: Annotated[float, Meta(ge=60, le=31 * 86400)] = 4 * 3600.0


AccessState: TypeAlias = Literal["waiting", "approved", "denied", "withdrawn", "over"]


class AccessRequested(Message, frozen=True):
    """The request waits for an approver."""

    request_id: RequestId
    access_id: Identifier


class AccessDecided(Message, frozen=True):
    """What became of a request; also said at the login of those decided in the last day."""

    access_id: Identifier
    appliance_id: Identifier
    name: Name
    state: AccessState
    text: Text = ""
    valid_until: Seconds | None = None


class WatchRelays(Message, frozen=True):
    """Says that this LM carries its user's permanent relays: Done, then Relays, now and at each change."""

    request_id: RequestId


class RelayDuty(msgspec.Struct, frozen=True):
    """A permanent relay as who carries it needs to know it."""

    relay_id: Identifier
    name: Name
    direction: Literal["pull", "push"]
    """Pull: programs beside the LM reach the device. Push: the device reaches a server beside the LM."""
    appliance_id: Identifier
    appliance: Annotated[str, Meta(max_length=640)]
    """Path."""
    device_id: Identifier
    device: Name
    port: Port
    """Where connections are taken: at the LM (pull) or at the SM's machine side (push)."""
    target_port: Port
    """Of the device (pull) or of the PC's end of the tunnel (push). Which server that is only the LM's host says."""


class Relays(Message, frozen=True):
    """All relays that the LM is to carry: the full new state."""

    relays: Annotated[tuple[RelayDuty, ...], Meta(max_length=128)]


RelayCondition: TypeAlias = Literal["listening", "connecting", "reconnecting", "failed"]


class RelayState(msgspec.Struct, frozen=True):
    """How a relay is at its LM. Numbers are since the LM's agent began."""

    relay_id: Identifier
    condition: RelayCondition
    text: Text = ""
    """Where it listens or delivers to; or why it does not."""
    connections: Counter = 0
    """Open now."""
    opened: Counter = 0
    refused: Counter = 0
    bytes_to_device: Counter = 0
    bytes_from_device: Counter = 0


class RelayStates(Message, frozen=True):
    """All relays of an LM, when something about them changed."""

    states: Annotated[tuple[RelayState, ...], Meta(max_length=128)]

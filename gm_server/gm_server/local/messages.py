"""Questions to the running server and its answers: frames (``gatelink.frames``) of MessagePack, one a connection."""

from __future__ import annotations

from typing import Final, TypeAlias

import msgspec

from gatelink.messages import FoundDevice, RelayState

MAX_ANSWER_BYTES: Final = 64 * 1024 * 1024


class _Message(msgspec.Struct, frozen=True, tag_field="type"):
    """Base: the tag is the class name."""


class AskStatus(_Message, frozen=True):
    """How is the server?"""


class AskAppliances(_Message, frozen=True):
    """Which appliances are connected?"""


class AskSessions(_Message, frozen=True):
    """Which sessions are live?"""


class AskEnd(_Message, frozen=True):
    """End a session."""

    session_id: str


class AskRelays(_Message, frozen=True):
    """How are the permanent relays?"""


class AskReload(_Message, frozen=True):
    """Load the certificates anew."""


class AskScan(_Message, frozen=True):
    """Let an appliance look for devices at its machine side; takes up to two minutes."""

    appliance_id: str


class Status(_Message, frozen=True):
    """How the server is. Times are Unix seconds, sizes bytes."""

    version: str
    process_id: int
    since: float
    listening: tuple[str, ...]
    serial: str
    appliances: int
    users: int
    sessions: int
    pending_connections: int
    resident_bytes: int
    strangers: dict[str, int]


class OnlineAppliance(msgspec.Struct, frozen=True):
    """A connected appliance."""

    appliance_id: str
    since: float
    address: str
    port: int
    round_trip_s: float | None
    software: str


class Appliances(_Message, frozen=True):
    """Those that are connected."""

    appliances: tuple[OnlineAppliance, ...]


class LiveSession(msgspec.Struct, frozen=True):
    """A session that is open now."""

    session_id: str
    user: str
    address: str
    appliance: str
    devices: tuple[str, ...]
    state: str
    since: float
    ends_at: float | None
    reason: str
    bytes_from_user: int
    bytes_from_appliance: int


class Sessions(_Message, frozen=True):
    """Those that are live."""

    sessions: tuple[LiveSession, ...]


class RelaysObserved(_Message, frozen=True):
    """What is seen of the permanent relays: ids of appliances, and what LinkManagers told, by the relay's id."""

    online: frozenset[str]
    locked: frozenset[str]
    told: dict[str, RelayState]


class Scanned(_Message, frozen=True):
    """What the appliance found."""

    found: tuple[FoundDevice, ...]


class Done(_Message, frozen=True):
    """It is done."""


class Failed(_Message, frozen=True):
    """It cannot be done; the text says why."""

    text: str


Question: TypeAlias = AskStatus | AskAppliances | AskSessions | AskEnd | AskRelays | AskReload | AskScan
Answer: TypeAlias = Status | Appliances | Sessions | RelaysObserved | Scanned | Done | Failed

_encoder = msgspec.msgpack.Encoder()
questions: msgspec.msgpack.Decoder[Question] = msgspec.msgpack.Decoder(Question)
answers: msgspec.msgpack.Decoder[Answer] = msgspec.msgpack.Decoder(Answer)


def encode(message: Question | Answer) -> bytes:
    """Return the frame of a message: ``u32`` length, then the payload. Answers may be longer than a control frame."""
    payload = _encoder.encode(message)
    return len(payload).to_bytes(4, "big") + payload

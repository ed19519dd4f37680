"""What the GateManager and a relay worker say to each other: MessagePack, one message a packet of a Unix socketpair."""

from __future__ import annotations

from typing import Final, TypeAlias

import msgspec

MAX_MESSAGE_BYTES: Final = 64 * 1024
COUNTERS_A_MESSAGE: Final = 400
"""Sessions in one Counters message, so that it fits with session ids of 128 characters."""


class _Message(msgspec.Struct, frozen=True, tag_field="type"):
    """Base: the tag is the class name."""


class Join(_Message, frozen=True):
    """Splice the two descriptors that come with this message into each other; the worker owns them from now on."""

    session_id: str


class EndSession(_Message, frozen=True):
    """Close both legs at once. Unknown sessions are ignored: they may have ended just now."""

    session_id: str


class AskStats(_Message, frozen=True):
    """Wants a Stats message."""


class Joined(_Message, frozen=True):
    """Bytes flow."""

    session_id: str


class Refused(_Message, frozen=True):
    """The session is not carried, its legs are closed; the text says why."""

    session_id: str
    text: str


class Ended(_Message, frozen=True):
    """Both legs are closed. Bytes that came from leg a and from leg b."""

    session_id: str
    bytes_from_a: int
    bytes_from_b: int
    text: str


class Counters(_Message, frozen=True):
    """Sessions whose bytes changed since the last report: (session id, bytes from a, bytes from b)."""

    sessions: list[tuple[str, int, int]]


class Stats(_Message, frozen=True):
    """How a worker is: open sessions, descriptors, pipes, processor seconds, resident memory."""

    sessions: int
    descriptors: int
    pipes: int
    processor_s: float
    resident_bytes: int


Command: TypeAlias = Join | EndSession | AskStats
Report: TypeAlias = Joined | Refused | Ended | Counters | Stats

_encoder = msgspec.msgpack.Encoder()
_commands: msgspec.msgpack.Decoder[Command] = msgspec.msgpack.Decoder(Command)
_reports: msgspec.msgpack.Decoder[Report] = msgspec.msgpack.Decoder(Report)


def encode(message: Command | Report) -> bytes:
    """Return the packet."""
    return _encoder.encode(message)


def decode_command(packet: bytes) -> Command:
    """Return what the GateManager said; both ends are of one version, so an error is a bug."""
    return _commands.decode(packet)


def decode_report(packet: bytes) -> Report:
    """Return what a worker said."""
    return _reports.decode(packet)

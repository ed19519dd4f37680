"""The lines of an exported audit log (JSON lines), and how its end is signed. No I/O.

header                        whose log, when exported, by which key it is signed
cut                           only if the log does not begin with entry 1: signed, where its older part ended
entry, left-out, checkpoint   in the order of their numbers; ``left-out`` stands for entries that the reader may not
                              see or did not ask for: their last hash keeps the chain together
end                           signed over the SHA-256 of every line before it: a file without it was cut off
"""

from __future__ import annotations

from typing import Final, TypeAlias

import msgspec

FORMAT: Final = "gatelink-audit/1"
END_CONTEXT: Final = b"gatelink audit export/1\0"


class _Line(msgspec.Struct, frozen=True, tag_field="line", kw_only=True):
    """Base of all lines."""


class Header(_Line, frozen=True, tag="header"):
    """The first line."""

    format: str
    gatemanager: str
    certificate: bytes
    """The appliance certificate (DER) whose key signed ``end``; compare it with the one that the server shows."""
    exported_at: float
    exported_by: str
    filter: dict[str, str | float | None]
    """Empty: everything."""


class CutLine(_Line, frozen=True, tag="cut"):
    """Behind which entry this log begins: what was before lies in a file of its own, which ends with this hash."""

    number: int
    at: float
    hash: str
    signature: bytes


class EntryLine(_Line, frozen=True, tag="entry"):
    """An entry; ``hash`` is in hexadecimal digits."""

    number: int
    at: float
    event: str
    result: str
    actor_id: str
    actor_name: str
    via: str
    address: str
    subject_id: str
    subject_name: str
    domain: str
    details: dict[str, str | int | float | bool | None]
    hash: str


class LeftOut(_Line, frozen=True, tag="left-out"):
    """Entries from ``first`` to ``last`` are not in this file."""

    first: int
    last: int
    hash: str


class CheckpointLine(_Line, frozen=True, tag="checkpoint"):
    """A signature over the entry before it."""

    number: int
    at: float
    hash: str
    key_sha256: str
    signature: bytes


class End(_Line, frozen=True, tag="end"):
    """The last line."""

    entries: int
    """How many are in the file."""
    number: int
    """Of the last, in the file or left out."""
    hash: str
    sha256: str
    """Of every line before this one."""
    signature: bytes


Line: TypeAlias = Header | CutLine | EntryLine | LeftOut | CheckpointLine | End
lines: msgspec.json.Decoder[Line] = msgspec.json.Decoder(Line)
_encoder = msgspec.json.Encoder()


def encode(line: Line) -> bytes:
    """Return a line with its end."""
    return _encoder.encode(line) + b"\n"

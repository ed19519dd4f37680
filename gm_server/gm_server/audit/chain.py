"""The chain: every entry's hash covers the one before it, so that nothing can be changed, taken out, put in or moved.

    hash(n) = SHA-256(hash(n - 1) + JSON of all other fields, keys sorted, no spaces, UTF-8);  hash(0) = 32 zero bytes

No I/O.
"""

from __future__ import annotations

import hashlib
from typing import Final

import msgspec

FIRST: Final = bytes(32)


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """An entry as it is hashed and exported."""

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


def entry_hash(previous: bytes, entry: Entry) -> bytes:
    """Return the hash of an entry that follows one with the hash ``previous``."""
    return hashlib.sha256(previous + msgspec.json.encode(entry, order="sorted")).digest()

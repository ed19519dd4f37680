"""Which key each SiteManager had: a changed one is refused until the user has compared it. No I/O.

The GateManager tells which certificate an SM has; whoever took over the GateManager could name another one and read the
session. The user's PC remembers, and the fingerprint on the SM's own page settles who is right.
"""

from __future__ import annotations

import msgspec

from gatelink.exceptions import PeerChanged
from gatelink.identity import fingerprint_text


class KnownKey(msgspec.Struct, frozen=True):
    """SHA-256 of an appliance's key, and of another one that it presented since."""

    name: str
    key_sha256: bytes
    offered: bytes | None = None


class KnownKeys:
    """The keys by appliance id. Changes are returned by ``entries``, for whoever keeps the file."""

    def __init__(self, entries: dict[str, KnownKey]) -> None:
        self.entries = entries

    def check(self, appliance_id: str, name: str, key_sha256: bytes) -> bool:
        """Return whether the key is new here (nothing was remembered); raises PeerChanged if it is another one.

        A refused key is kept as the offered one, for ``accept``.
        """
        known = self.entries.get(appliance_id)
        if known is None:
            return True
        if known.key_sha256 == key_sha256:
            return False
        self.entries[appliance_id] = KnownKey(known.name, known.key_sha256, key_sha256)
        raise PeerChanged(
            f"the SiteManager {name} has another key than before: expected {fingerprint_text(known.key_sha256)}, "
            f"got {fingerprint_text(key_sha256)}; compare with its own page, then `lm trust {name}` if it is right"
        )

    def remember(self, appliance_id: str, name: str, key_sha256: bytes) -> bool:
        """Note a key that proved itself; return whether anything changed."""
        fresh = KnownKey(name, key_sha256)
        changed = self.entries.get(appliance_id) != fresh
        self.entries[appliance_id] = fresh
        return changed

"""Tells what is new from what was just recorded, so that nobody fills the log by asking again and again. No I/O."""

from __future__ import annotations

from typing import Final

MAX_KEYS: Final = 4096


class Repeats:
    """A key is new if it was not seen for ``quiet_s``; the table is bounded, its oldest entries make room."""

    def __init__(self, quiet_s: float) -> None:
        self._quiet_s = quiet_s
        self._seen_at: dict[str, float] = {}

    def is_new(self, key: str, now: float) -> bool:
        """Whether ``key`` is to be recorded now; it counts as recorded then."""
        before = self._seen_at.get(key)
        if before is not None and now - before < self._quiet_s:
            return False
        self._seen_at.pop(key, None)
        self._seen_at[key] = now
        while len(self._seen_at) > MAX_KEYS:
            del self._seen_at[next(iter(self._seen_at))]
        return True

"""Slows the guessing of passwords: each failure doubles the time until the next attempt is looked at. No I/O.

Nobody is locked out for good: the longest wait is ``LONGEST_S``, and failures are forgotten with time. The table is
bounded: when it is full the entries that matter least (whose wait is over soonest) make room.
"""

from __future__ import annotations

from typing import Final

FREE_ATTEMPTS: Final = 3
FIRST_S: Final = 1.0
LONGEST_S: Final = 60.0
FORGET_S: Final = 900.0
MAX_KEYS: Final = 4096


class _Entry:
    __slots__ = ("failed_at", "failures", "open_at")

    def __init__(self) -> None:
        self.failures = 0
        self.open_at = 0.0
        self.failed_at = 0.0


class Throttle:
    """Failures by key: a user, an address."""

    def __init__(self, max_keys: int = MAX_KEYS) -> None:
        self._max_keys = max_keys
        self._entries: dict[str, _Entry] = {}

    def __len__(self) -> int:
        return len(self._entries)

    def wait_s(self, key: str, now: float) -> float:
        """Return how long attempts of ``key`` are not looked at; 0 if they are."""
        entry = self._entries.get(key)
        return 0.0 if entry is None else max(0.0, entry.open_at - now)

    def attempt(self, key: str, now: float) -> None:
        """Count an attempt as failed until ``succeeded`` says otherwise: many at the same time gain nothing."""
        entry = self._entries.get(key)
        if entry is None or now - entry.failed_at > FORGET_S:
            self._make_room(now)
            entry = self._entries[key] = _Entry()
        entry.failures += 1
        entry.failed_at = now
        excess = entry.failures - FREE_ATTEMPTS
        if excess >= 0:
            entry.open_at = now + min(LONGEST_S, FIRST_S * 2.0 ** min(excess, 16))

    def succeeded(self, key: str) -> None:
        """Forget the failures of ``key``."""
        self._entries.pop(key, None)

    def _make_room(self, now: float) -> None:
        if len(self._entries) < self._max_keys:
            return
        self._entries = {key: entry for key, entry in self._entries.items() if now - entry.failed_at <= FORGET_S}
        if len(self._entries) >= self._max_keys:
            del self._entries[min(self._entries, key=lambda key: self._entries[key].open_at)]

"""Slows the guessing of passwords: each failure doubles the time until the next attempt is looked at. No I/O.

Nobody is locked out for good: the longest wait is ``longest_s``, and failures are forgotten with time. The table is
bounded: when it is full, the entry whose wait is over soonest makes room.
"""

from __future__ import annotations

from typing import Final

FIRST_S: Final = 1.0
LONGEST_S: Final = 60.0
FORGET_S: Final = 3600.0
MAX_KEYS: Final = 4096


class _Entry:
    __slots__ = ("attempted_at", "failures")

    def __init__(self) -> None:
        self.failures = 0
        self.attempted_at = 0.0


class Throttle:
    """Failures by key (a certificate, an address); the first ``free_attempts`` cost no time."""

    def __init__(self, free_attempts: int, max_keys: int = MAX_KEYS, longest_s: float = LONGEST_S) -> None:
        self._free_attempts = free_attempts
        self._longest_s = longest_s
        self._max_keys = max_keys
        self._entries: dict[str, _Entry] = {}

    def __len__(self) -> int:
        return len(self._entries)

    def wait_s(self, key: str, now: float) -> float:
        """Return how long attempts of ``key`` are not looked at; 0 if they are."""
        entry = self._entries.get(key)
        return 0.0 if entry is None else max(0.0, self._open_at(entry) - now)

    def attempt(self, key: str, now: float) -> None:
        """Count an attempt, as failed until told otherwise: many at the same time gain nothing."""
        entry = self._entries.get(key)
        if entry is None or now - entry.attempted_at > FORGET_S:
            self._make_room(now)
            entry = self._entries[key] = _Entry()
        entry.failures += 1
        entry.attempted_at = now

    def take_back(self, key: str) -> None:
        """The attempt did not fail; earlier failures of ``key`` count on."""
        entry = self._entries.get(key)
        if entry is not None and entry.failures > 0:
            entry.failures -= 1

    def forget(self, key: str) -> None:
        """Forget every failure of ``key``."""
        self._entries.pop(key, None)

    def _open_at(self, entry: _Entry) -> float:
        excess = entry.failures - self._free_attempts
        if excess < 0:
            return entry.attempted_at
        return entry.attempted_at + min(self._longest_s, FIRST_S * 2.0 ** min(excess, 16))

    def _make_room(self, now: float) -> None:
        if len(self._entries) < self._max_keys:
            return
        self._entries = {key: entry for key, entry in self._entries.items() if now - entry.attempted_at <= FORGET_S}
        if len(self._entries) >= self._max_keys:
            del self._entries[min(self._entries, key=lambda key: self._open_at(self._entries[key]))]

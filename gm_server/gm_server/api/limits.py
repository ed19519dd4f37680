"""How many requests somebody may make: buckets that fill with time. No I/O: time comes in as ``now``, in seconds.

The table is bounded: when it is full, those that are full again make room, then the one that was used longest ago.
"""

from __future__ import annotations

from typing import Final

MAX_KEYS: Final = 4096


class Buckets:
    """A bucket of ``burst`` requests for each key; each refills at ``per_s``."""

    def __init__(self, per_s: float, burst: float, max_keys: int = MAX_KEYS) -> None:
        self._per_s = per_s
        self._burst = burst
        self._max_keys = max_keys
        self._buckets: dict[bytes | str, tuple[float, float]] = {}
        """Level and when it was so, in the order of use."""

    def __len__(self) -> int:
        return len(self._buckets)

    def __contains__(self, key: bytes | str) -> bool:
        return key in self._buckets

    def wait_s(self, key: bytes | str, now: float) -> float:
        """Return how long until a request of ``key`` is admitted; 0: now."""
        return max(0.0, (1.0 - self._level(key, now)) / self._per_s)

    def take(self, key: bytes | str, now: float) -> None:
        """Count a request."""
        level = self._level(key, now)
        self._buckets.pop(key, None)
        if len(self._buckets) >= self._max_keys:
            self._make_room(now)
        self._buckets[key] = (max(0.0, level - 1.0), now)

    def _level(self, key: bytes | str, now: float) -> float:
        level, then = self._buckets.get(key, (self._burst, now))
        return min(self._burst, level + max(0.0, now - then) * self._per_s)

    def _make_room(self, now: float) -> None:
        self._buckets = {key: kept for key, kept in self._buckets.items() if self._level(key, now) < self._burst}
        while len(self._buckets) >= self._max_keys:
            del self._buckets[next(iter(self._buckets))]

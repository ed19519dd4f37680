"""Slows guessing down: waits that grow with every wrong attempt, for one address and for all together. No I/O.

Nobody is locked out for good: the longest wait is a minute. An attempt counts when it begins, so that many at once do
not get past; a good one takes its own count back.
"""

from __future__ import annotations

from typing import Final

FREE_ATTEMPTS: Final = 5
FREE_ATTEMPTS_OF_ALL: Final = 40
LONGEST_S: Final = 60.0
FORGET_S: Final = 900.0
MOST_ADDRESSES: Final = 256
_ALL: Final = ""


class Throttle:
    """Attempts by address; the empty address stands for all."""

    def __init__(self) -> None:
        self._wrong: dict[str, int] = {}
        self._next_at: dict[str, float] = {}

    def wait_s(self, address: str, now: float) -> float:
        """Return how long this address has to wait before it may try."""
        return max(0.0, *(self._next_at.get(key, 0.0) - now for key in (address, _ALL)))

    def attempt(self, address: str, now: float) -> None:
        """Count an attempt that begins."""
        self._forget_old(now)
        for key, free in ((address, FREE_ATTEMPTS), (_ALL, FREE_ATTEMPTS_OF_ALL)):
            self._wrong[key] = self._wrong.get(key, 0) + 1
            beyond = self._wrong[key] - free
            wait_s = min(LONGEST_S, 2.0 ** min(beyond, 10)) if beyond >= 0 else 0.0
            if key == _ALL:
                wait_s = min(wait_s, 2.0)
            self._next_at[key] = now + wait_s

    def good(self, address: str) -> None:
        """The attempt was good: this address begins anew."""
        self._wrong.pop(address, None)
        self._next_at.pop(address, None)
        if self._wrong.get(_ALL):
            self._wrong[_ALL] -= 1

    def _forget_old(self, now: float) -> None:
        for key in [key for key, at in self._next_at.items() if now - at > FORGET_S]:
            self._wrong.pop(key, None)
            self._next_at.pop(key, None)
        while len(self._next_at) > MOST_ADDRESSES:
            oldest = min((key for key in self._next_at if key != _ALL), key=self._next_at.__getitem__)
            self._wrong.pop(oldest, None)
            self._next_at.pop(oldest, None)

"""How long to wait before the next attempt: exponential, with full jitter.

Full jitter (a uniform choice between nothing and the exponential bound) spreads a thousand appliances that lost their
GateManager in the same second best: M. Brooker, "Exponential Backoff And Jitter", AWS Architecture Blog, 2015.
"""

from __future__ import annotations

from collections.abc import Callable


class Backoff:
    """Delays in seconds; ``uniform(low, high)`` is the source of chance."""

    __slots__ = ("_attempts", "_first_s", "_longest_s", "_uniform")

    def __init__(self, uniform: Callable[[float, float], float], first_s: float = 1.0, longest_s: float = 60.0) -> None:
        self._uniform = uniform
        self._first_s = first_s
        self._longest_s = longest_s
        self._attempts = 0

    def next_delay_s(self) -> float:
        """Return the delay before the next attempt; the bound doubles with each call."""
        bound_s = min(self._longest_s, self._first_s * 2.0 ** min(self._attempts, 32))
        self._attempts += 1
        return self._uniform(0.0, bound_s)

    def reset(self) -> None:
        """Start again from the shortest delay, after a success."""
        self._attempts = 0

"""When to send a keepalive, and when the other side is dead. No I/O: time comes in as ``now`` (monotonic seconds)."""

from __future__ import annotations

from enum import Enum

from .wire import MISSED_KEEPALIVES


class Verdict(Enum):
    """What a keepalive timer asks for."""

    WAIT = "wait"
    SEND = "send"
    DEAD = "dead"


class Keepalive:
    """One side of a connection that sends something at least every ``interval_s`` and expects the same.

    Anything received proves life. After ``MISSED_KEEPALIVES`` silent intervals the verdict is DEAD.
    """

    __slots__ = ("_heard_at", "_interval_s", "_sent_at")

    def __init__(self, interval_s: float, now: float) -> None:
        self._interval_s = interval_s
        self._heard_at = now
        self._sent_at = now

    def heard(self, now: float) -> None:
        """Note that bytes came in."""
        self._heard_at = now

    def sent(self, now: float) -> None:
        """Note that bytes went out."""
        self._sent_at = now

    def change_interval(self, interval_s: float) -> None:
        """Use another distance from now on (the GM tells it at login)."""
        self._interval_s = interval_s

    @property
    def next_at(self) -> float:
        """When to ask for a verdict again."""
        return min(self._sent_at + self._interval_s, self._dead_at)

    def verdict(self, now: float) -> Verdict:
        """Say what is due at ``now``."""
        if now >= self._dead_at:
            return Verdict.DEAD
        if now >= self._sent_at + self._interval_s:
            return Verdict.SEND
        return Verdict.WAIT

    @property
    def _dead_at(self) -> float:
        return self._heard_at + self._interval_s * (MISSED_KEEPALIVES + 0.5)

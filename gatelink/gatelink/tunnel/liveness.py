"""When a tunnel pings, when its far end is dead, and how long a round trip takes. No I/O: time comes in as ``now``.

A Ping goes out every ``interval_s``, whether or not frames flow: in 25 s a busy tunnel carries millions of bytes, so
that 25 more are nothing, and the round trip is known under load too. Whatever comes in proves that the far end lives;
the hot path only counts bytes, and their number is looked at when a Ping is due.
"""

from __future__ import annotations

import struct

from gatelink.wire import MISSED_KEEPALIVES

_token = struct.Struct("!Q")


class Liveness:
    """The timer of one tunnel."""

    __slots__ = ("_interval_s", "_received", "_sent_at", "_serial", "_silent", "next_at", "rtt_s")

    def __init__(self, interval_s: float, now: float) -> None:
        self._interval_s = interval_s
        self._received = 0
        self._silent = 0
        self._serial = 0
        self._sent_at: float | None = None
        self.next_at = now + interval_s
        """When to call ``tick`` again."""
        self.rtt_s: float | None = None
        """The last round trip, in seconds."""

    def ping(self, now: float) -> bytes:
        """Return the token of a Ping that is sent at ``now``."""
        self._serial += 1
        self._sent_at = now
        return _token.pack(self._serial)

    def pong(self, token: bytes, now: float) -> None:
        """Note the answer; one that answers anything but the last Ping is ignored."""
        if self._sent_at is not None and token == _token.pack(self._serial):
            self.rtt_s = now - self._sent_at
            self._sent_at = None

    def tick(self, now: float, received: int) -> bool:
        """An interval has passed: return whether the far end lives. ``received`` counts all bytes so far.

        It is dead when nothing came in during two whole intervals, each of which began with a Ping.
        """
        self.next_at = now + self._interval_s
        self._silent = 0 if received != self._received else self._silent + 1
        self._received = received
        return self._silent < MISSED_KEEPALIVES

"""Runs one tunnel on Linux: frames between a TAP adapter and a TLS connection, in a thread of its own.

One epoll loop over TAP, TLS socket and a wake-up descriptor; everything non-blocking. The rules of the loop:

- the TAP is in the epoll set only while the connection takes bytes (``outbound``: backpressure),
- EPOLLOUT is asked for only while bytes wait,
- a wake-up costs three system calls in the common case: epoll_wait, read, write.
"""

from __future__ import annotations

import contextlib
import os
import select
import ssl
import threading
import time
from collections.abc import Callable

from . import inbound, outbound
from .devices import TapLike
from .leg_options import limit_not_sent
from .near_end import CLOSED, Counters, Ended, EndReason, NearEnd, PumpEnd, PumpHooks, PumpSettings
from .offload import Offload

__all__ = ["Counters", "EndReason", "Pump", "PumpEnd", "PumpHooks", "PumpSettings", "TapLike"]

_IN, _OUT = select.EPOLLIN, select.EPOLLOUT


class Pump(NearEnd):
    """One tunnel. ``run`` is called once; it closes the TLS connection at the end, the TAP stays the caller's."""

    def __init__(
        self,
        tap: TapLike,
        tls: ssl.SSLSocket,
        settings: PumpSettings | None = None,
        hooks: PumpHooks | None = None,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__(tap.name, tap.offload, tls, settings, hooks, clock)
        self._tap = tap
        self._wake = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._wake_lock = threading.Lock()

    def poke(self) -> None:
        """Make the loop look at its clock and whether to stop."""
        with self._wake_lock:
            if self._wake >= 0:
                os.eventfd_write(self._wake, 1)

    def _open_tap(self, offload: Offload) -> tuple[outbound.Read, inbound.Write]:
        self._tap.use(offload)
        return self._tap.ports(offload)

    def _release(self) -> None:
        with self._wake_lock:
            os.close(self._wake)
            self._wake = -1

    def _loop(self) -> None:
        with select.epoll() as epoll:
            self._serve(epoll)

    def _serve(self, epoll: select.epoll) -> None:
        """In the common case a turn is: poll, look at the clock, move one frame."""
        tap_fd, tls_fd, clock, poll = self._tap.fileno(), self._tls.fileno(), self._clock, epoll.poll
        outgoing, receive, transmit, transmit_one = (
            self._out,
            self._in.receive,
            self._out.transmit,
            self._out.transmit_one,
        )
        self._tls_events, self._tap_events = _IN, 0
        epoll.register(tls_fd, self._tls_events)
        epoll.register(tap_fd, self._tap_events)
        epoll.register(self._wake, _IN)
        flowing = False
        # The TAP was not heard of twice in a row: see ``transmit_one``.
        alone = True
        now = clock()
        while True:
            if outgoing.end or self._pong is not None or not flowing:
                flowing = self._settle(epoll, now)
            left_s = self._deadline - now
            if left_s <= 0:
                self._on_deadline(now)
                continue
            events = poll(left_s, 3)
            now = clock()
            for fd, event in events:
                if fd == tap_fd:
                    if outgoing.end:
                        outgoing.queue()
                    elif alone:
                        transmit_one()
                    else:
                        transmit()
                    alone = False
                elif fd == tls_fd:
                    alone = True
                    if event & _OUT:
                        outgoing.flush()
                    if event != _OUT and not receive():
                        raise Ended(EndReason.LOST, CLOSED)
                else:
                    self._on_wake()

    def _on_wake(self) -> None:
        with contextlib.suppress(BlockingIOError):
            os.eventfd_read(self._wake)
        self._look_whether_to_stop()

    def _settle(self, epoll: select.epoll, now: float) -> bool:
        """Send control messages, ask epoll for what the state of the line wants; returns whether frames flow freely."""
        outgoing = self._out
        self._answer_ping()
        if outgoing.end and not outgoing.is_stalled:
            outgoing.flush()
        if outgoing.is_stalled:
            tls_events = _IN | _OUT
            if outgoing.measure(now):
                limit_not_sent(self._tls, slow=outgoing.rate.is_slow)
        else:
            tls_events = _IN
            outgoing.rate.free(now)
        tap_events = _IN if outgoing.wants_frames else 0
        if tls_events != self._tls_events:
            self._tls_events = tls_events
            epoll.modify(self._tls.fileno(), tls_events)
        if tap_events != self._tap_events:
            self._tap_events = tap_events
            epoll.modify(self._tap.fileno(), tap_events)
        return tap_events == _IN and tls_events == _IN

"""The loop of a relay worker: one epoll set for all its sessions.

Level-triggered, EPOLLIN alone in the common case: one wake-up, two splices, nothing in vain. A session that is busy
gets one pipe full a turn, and epoll gives every other ready one its turn before it comes again.
"""

from __future__ import annotations

import select
import socket
import time
from collections.abc import Callable, Iterator

from gatelink.tunnel.leg_options import apply_leg_options

from .pipes import PipeStock
from .session import Direction, Session

_EVENTS_A_TURN = 64
_IN, _OUT = select.EPOLLIN, select.EPOLLOUT


class Splicer:
    """Many sessions; ``on_ended`` is called with a session whose legs are closed, and why they were."""

    def __init__(self, on_ended: Callable[[Session, str], None], stock: PipeStock | None = None) -> None:
        self._epoll = select.epoll()
        self._stock = stock or PipeStock()
        self._on_ended = on_ended
        self._sessions: dict[str, Session] = {}
        self._limited: set[Session] = set()
        """Sessions of which a line was full lately."""
        # By leg: what it is the source of, and what it is the target of.
        self._directions: dict[int, tuple[Direction, Direction]] = {}

    def __len__(self) -> int:
        return len(self._sessions)

    def __iter__(self) -> Iterator[Session]:
        return iter(self._sessions.values())

    @property
    def pipes(self) -> int:
        """Pipes in existence."""
        return self._stock.open

    def watch(self, descriptor: int) -> None:
        """Let ``turn`` say when this other descriptor is readable."""
        self._epoll.register(descriptor, _IN)

    def join(self, session_id: str, leg_a: socket.socket, leg_b: socket.socket) -> None:
        """Splice two connected sockets into each other, and own them. Raises OSError or ValueError; both are closed."""
        try:
            if session_id in self._sessions:
                raise ValueError(f"the session {session_id} is here already")
            for leg in (leg_a, leg_b):
                leg.setblocking(False)
                apply_leg_options(leg)
            session = Session(session_id, leg_a, leg_b)
            session.ask(self._epoll)
        except (OSError, ValueError):
            leg_a.close()
            leg_b.close()
            raise
        self._sessions[session_id] = session
        self._directions[leg_a.fileno()] = session.from_a, session.from_b
        self._directions[leg_b.fileno()] = session.from_b, session.from_a

    def end(self, session_id: str, why: str) -> None:
        """Close both legs of a session, if it is here."""
        session = self._sessions.get(session_id)
        if session is not None:
            self._close(session, why)

    def turn(self, timeout_s: float) -> bool:
        """Wait for bytes and move them; returns whether the watched descriptor is readable."""
        directions, stock = self._directions, self._stock
        watched = False
        for fd, events in self._epoll.poll(timeout_s, _EVENTS_A_TURN):
            found = directions.get(fd)
            if found is None:
                # The watched one, or a leg that was closed in this very turn.
                watched = True
                continue
            inward, outward = found
            try:
                if events == _IN:
                    if not inward.move(stock):
                        continue
                    inward.measure(time.monotonic())
                else:
                    self._serve(inward, outward, events)
            except OSError as error:
                self._close(inward.session, f"a leg was lost: {error.strerror or error}")
                continue
            session = inward.session
            if session.has_ended:
                self._close(session, "closed by both ends")
            else:
                self._limited.add(session)
                session.ask(self._epoll)
        return watched

    def _serve(self, inward: Direction, outward: Direction, events: int) -> None:
        """All but the common case: a leg takes bytes again, has ended or broke."""
        if events & _OUT and outward.is_full:
            outward.move_rest(self._stock)
            outward.measure(time.monotonic())
        # EPOLLHUP and EPOLLERR come unasked; the splice finds the reason.
        if events & ~_OUT and not inward.is_full and not inward.ended and inward.move(self._stock):
            inward.measure(time.monotonic())

    def review(self, now: float, seconds: float) -> None:
        """Look at the limits of the sessions that have met a full line; to be called every so many ``seconds``."""
        for session in list(self._limited):
            try:
                limited = session.from_a.review(now, seconds), session.from_b.review(now, seconds)
                if not any(limited):
                    self._limited.discard(session)
            except OSError as error:
                self._close(session, f"a leg was lost: {error.strerror or error}")

    def close(self) -> None:
        """Close everything, without a report."""
        for session in list(self._sessions.values()):
            session.close(self._stock)
        self._sessions.clear()
        self._directions.clear()
        self._stock.close()
        self._epoll.close()

    def _close(self, session: Session, why: str) -> None:
        del self._sessions[session.session_id]
        self._limited.discard(session)
        for leg in session.legs:
            del self._directions[leg]
        session.close(self._stock)
        self._on_ended(session, why)

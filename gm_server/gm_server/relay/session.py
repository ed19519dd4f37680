"""One session: two legs, two directions, and what epoll is asked about each leg.

A direction moves bytes from its source into a pipe and from the pipe into its target. Bytes that the target does not
take stay in the pipe; until they are gone the source is not read (its sender slows down by itself) and epoll is asked
for EPOLLOUT of the target. When the source ends (FIN), the target is told so once the pipe is empty; when both
directions have ended the session has.
"""

from __future__ import annotations

import os
import select
import socket
from os import splice
from typing import Final

from gatelink.tunnel.leg_options import limit_not_sent, limit_received, round_trip_s
from gatelink.tunnel.line_rate import LineRate

from .pipes import Pipe, PipeStock

_IN, _OUT = select.EPOLLIN, select.EPOLLOUT
TARGET_S: Final = 0.04
"""What may wait at the GateManager for a slow line, as time (docs/decisions/0012)."""
_TURN_BYTES: Final = 1024 * 1024
"""At most this much in one turn, so that a busy session does not hold up the others: less than a millisecond."""
_TURN_S: Final = 0.005
_LEAST_TURN_BYTES: Final = 16 * 1024
_LEAST_WAITING_BYTES: Final = 32 * 1024
_MARGIN: Final = 1.2
_SPLICE: Final = os.SPLICE_F_MOVE | os.SPLICE_F_NONBLOCK


class Direction:
    """Bytes from one leg to the other."""

    __slots__ = ("_rate", "_reviewed_bytes", "_turn_bytes", "bytes", "ended", "pipe", "session", "source", "target")

    def __init__(self, session: Session, source: int, target: int) -> None:
        self.session = session
        self.source = source
        self.target = target
        self.pipe: Pipe | None = None
        """Held only while there are bytes in it."""
        self.ended = False
        """The source has said FIN, and the target was told."""
        self.bytes = 0
        # Most directions never meet a full line.
        self._rate: LineRate | None = None
        self._turn_bytes = _TURN_BYTES
        self._reviewed_bytes = 0

    def move(self, stock: PipeStock) -> bool:
        """Move what is there, one pipe full at most; returns whether epoll is to be asked for something else now.

        Only while no bytes wait. In the common case all goes out at once, and the spare pipe stays spare. Raises
        OSError when a leg broke, or no pipe is left for the next.
        """
        pipe = stock.spare
        try:
            size = splice(self.source, pipe.write_fd, self._turn_bytes, None, None, _SPLICE)
        except BlockingIOError:
            return False
        if not size:
            self.ended = True
            self.session.legs[self.target].shutdown(socket.SHUT_WR)
            return True
        self.bytes += size
        try:
            sent = splice(pipe.read_fd, self.target, size, None, None, _SPLICE)
        except BlockingIOError:
            sent = 0
        except OSError:
            pipe.held_bytes = size
            stock.replace_spare()
            raise
        if sent == size:
            return False
        pipe.held_bytes = size - sent
        self.pipe = pipe
        stock.lend_spare()
        return True

    def move_rest(self, stock: PipeStock) -> bool:
        """Move what waits for the target; returns whether that was all."""
        pipe = self.pipe
        if pipe is None:
            return False
        try:
            pipe.held_bytes -= splice(pipe.read_fd, self.target, pipe.held_bytes, None, None, _SPLICE)
        except BlockingIOError:
            return False
        if pipe.held_bytes:
            return False
        self.pipe = None
        stock.give_back(pipe)
        return True

    @property
    def is_full(self) -> bool:
        """Whether bytes wait for the target."""
        return self.pipe is not None

    def measure(self, now: float) -> None:
        """The target is, or was until ``now``, full: if its line is slow, let less wait here for it."""
        rate = self._rate
        if rate is None:
            rate = self._rate = LineRate()
            self._reviewed_bytes = self.bytes
        if self.pipe is None:
            rate.free(now)
            return
        was_slow = rate.is_slow
        if not rate.full(now, self.bytes - self.pipe.held_bytes) or not (rate.is_slow or was_slow):
            return
        if rate.is_slow:
            speed = rate.bytes_a_second or 0.0
            source = self.session.legs[self.source]
            self._turn_bytes = max(_LEAST_TURN_BYTES, int(speed * _TURN_S))
            limit_received(source, max(_LEAST_WAITING_BYTES, int(speed * (TARGET_S + round_trip_s(source)))))
            limit_not_sent(self.session.legs[self.target], slow=True)
        else:
            self._relax()

    def review(self, now: float, seconds: float) -> bool:
        """Called every so many ``seconds``; returns whether its target's line is slow.

        A line that is free, and takes more than it was measured to take, is not slow. Without this, limits that are too
        tight would keep themselves: a target that is never full is never measured again.
        """
        moved, self._reviewed_bytes = self.bytes - self._reviewed_bytes, self.bytes
        rate = self._rate
        if rate is None or not rate.is_slow:
            return False
        if rate.is_free(now) and moved > _MARGIN * seconds * (rate.bytes_a_second or 0.0):
            self._rate = None
            self._relax()
            return False
        return True

    def _relax(self) -> None:
        self._turn_bytes = _TURN_BYTES
        limit_received(self.session.legs[self.source], None)
        limit_not_sent(self.session.legs[self.target], slow=False)


class Session:
    """Two legs that are joined."""

    __slots__ = ("from_a", "from_b", "legs", "masks", "reported_bytes", "session_id")

    def __init__(self, session_id: str, leg_a: socket.socket, leg_b: socket.socket) -> None:
        self.session_id = session_id
        self.legs = {leg_a.fileno(): leg_a, leg_b.fileno(): leg_b}
        self.from_a = Direction(self, leg_a.fileno(), leg_b.fileno())
        self.from_b = Direction(self, leg_b.fileno(), leg_a.fileno())
        self.masks: dict[int, int] = dict.fromkeys(self.legs, 0)
        """What epoll is asked for; 0: the leg is not in the set."""
        self.reported_bytes = 0

    @property
    def bytes(self) -> int:
        """Bytes moved both ways."""
        return self.from_a.bytes + self.from_b.bytes

    @property
    def has_ended(self) -> bool:
        """Whether both directions have."""
        return self.from_a.ended and self.from_b.ended

    def ask(self, epoll: select.epoll) -> None:
        """Bring what epoll is asked for in line with the state of the two directions.

        A leg that nothing is wanted of is taken out of the set: epoll would tell of its end (EPOLLHUP) forever.
        """
        for inward, outward in ((self.from_a, self.from_b), (self.from_b, self.from_a)):
            leg = inward.source
            mask = 0
            if not inward.ended and inward.pipe is None:
                mask |= _IN
            if outward.pipe is not None:
                mask |= _OUT
            seen = self.masks[leg]
            if mask == seen:
                continue
            self.masks[leg] = mask
            if not seen:
                epoll.register(leg, mask)
            elif mask:
                epoll.modify(leg, mask)
            else:
                epoll.unregister(leg)

    def close(self, stock: PipeStock) -> None:
        """Close both legs (epoll forgets them by itself) and give the pipes back."""
        for direction in (self.from_a, self.from_b):
            if direction.pipe is not None:
                stock.give_back(direction.pipe)
                direction.pipe = None
        for leg in self.legs.values():
            leg.close()

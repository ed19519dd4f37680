"""Program: a relay worker. ``python -m gm_server.relay.worker DESCRIPTOR``, started by ``pool`` alone.

The descriptor is a SOCK_SEQPACKET socketpair to the GateManager. When that process dies, by ``kill -9`` too, the kernel
closes its end, and the worker ends at once: no session goes on that nobody answers for.
"""

from __future__ import annotations

import array
import contextlib
import os
import resource
import signal
import socket
import sys
import time
from pathlib import Path
from typing import Final

from .messages import (
    COUNTERS_A_MESSAGE,
    MAX_MESSAGE_BYTES,
    AskStats,
    Counters,
    Ended,
    EndSession,
    Join,
    Joined,
    Refused,
    Report,
    Stats,
    decode_command,
    encode,
)
from .session import Session
from .splicer import Splicer

_COUNTERS_EVERY_S: Final = 1.0
_COMMANDS_A_TURN: Final = 32
"""A thousand sessions that are joined at once do not hold up those that are there."""


class _GateManagerGone(Exception):  # the ordinary end
    pass


class Worker:
    """Obeys the GateManager's commands and reports."""

    def __init__(self, channel: socket.socket) -> None:
        self._channel = channel
        self._splicer = Splicer(self._on_ended)
        self._splicer.watch(channel.fileno())

    def run(self) -> None:
        """Serve until the GateManager is gone."""
        turn, clock = self._splicer.turn, time.monotonic
        now = clock()
        report_at = now + _COUNTERS_EVERY_S
        try:
            while True:
                if turn(report_at - now):
                    self._obey()
                now = clock()
                if now >= report_at:
                    self._report_counters()
                    self._splicer.review(now, now - report_at + _COUNTERS_EVERY_S)
                    report_at = now + _COUNTERS_EVERY_S
        except (_GateManagerGone, BrokenPipeError, ConnectionResetError):
            pass
        finally:
            self._splicer.close()

    def _obey(self) -> None:
        for _ in range(_COMMANDS_A_TURN):
            try:
                packet, descriptors = _receive(self._channel)
            except BlockingIOError:
                return
            if not packet:
                raise _GateManagerGone
            match decode_command(packet):
                case Join(session_id):
                    self._join(session_id, descriptors)
                case EndSession(session_id):
                    self._splicer.end(session_id, "ended by the GateManager")
                case AskStats():
                    self._tell(self._stats())

    def _join(self, session_id: str, descriptors: list[int]) -> None:
        legs: list[socket.socket] = []
        try:
            # The kernel passes fewer when this process may not open more.
            if len(descriptors) != 2:
                raise OSError("no descriptors left in the relay worker")
            legs = [socket.socket(fileno=descriptor) for descriptor in descriptors]
            self._splicer.join(session_id, *legs)
        except (OSError, ValueError) as error:
            for descriptor in descriptors[len(legs) :]:
                os.close(descriptor)
            for leg in legs:
                leg.close()
            self._tell(Refused(session_id, str(error)))
        else:
            self._tell(Joined(session_id))

    def _on_ended(self, session: Session, why: str) -> None:
        self._tell(Ended(session.session_id, session.from_a.bytes, session.from_b.bytes, why))

    def _report_counters(self) -> None:
        changed: list[tuple[str, int, int]] = []
        for session in self._splicer:
            if session.bytes != session.reported_bytes:
                session.reported_bytes = session.bytes
                changed.append((session.session_id, session.from_a.bytes, session.from_b.bytes))
        for first in range(0, len(changed), COUNTERS_A_MESSAGE):
            self._tell(Counters(changed[first : first + COUNTERS_A_MESSAGE]))

    def _stats(self) -> Stats:
        usage = resource.getrusage(resource.RUSAGE_SELF)
        resident_pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
        return Stats(
            sessions=len(self._splicer),
            descriptors=sum(1 for _ in Path("/proc/self/fd").iterdir()) - 1,
            pipes=self._splicer.pipes,
            processor_s=usage.ru_utime + usage.ru_stime,
            resident_bytes=resident_pages * resource.getpagesize(),
        )

    def _tell(self, report: Report) -> None:
        # Blocking on purpose: a report must not be lost. The GateManager reads all the time.
        self._channel.send(encode(report))


def _receive(channel: socket.socket) -> tuple[bytes, list[int]]:
    """Return one packet and the descriptors that came with it; socket.recv_fds would wait, whatever it is told."""
    found = array.array("i")
    room = socket.CMSG_LEN(2 * found.itemsize)
    flags = socket.MSG_DONTWAIT | socket.MSG_CMSG_CLOEXEC
    packet, ancillary, _flags, _address = channel.recvmsg(MAX_MESSAGE_BYTES, room, flags)
    for level, kind, data in ancillary:
        if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
            found.frombytes(data[: len(data) - len(data) % found.itemsize])
    return packet, found.tolist()


def main() -> None:
    """Run on the descriptor that is the only argument."""
    # Ctrl-C in a terminal reaches the whole process group; the GateManager ends its workers itself.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with contextlib.suppress(ValueError, OSError):
        _soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    with socket.socket(fileno=int(sys.argv[1])) as channel:
        channel.setblocking(True)
        Worker(channel).run()


if __name__ == "__main__":
    main()

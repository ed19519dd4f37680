"""The GateManager's side of the relay: starts the workers, hands sessions to them, hears how they end."""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from .messages import (
    MAX_MESSAGE_BYTES,
    AskStats,
    Command,
    Counters,
    Ended,
    EndSession,
    Join,
    Joined,
    Refused,
    Stats,
    decode_report,
    encode,
)

_log = logging.getLogger(__name__)

_ANSWER_TIMEOUT_S: Final = 5.0
"""A worker that does not answer for so long is killed and replaced."""
_END_TIMEOUT_S: Final = 2.0
_RESTART_PAUSE_S: Final = 1.0
"""Between two starts of the same worker, so that one which cannot start does not burn a processor."""
_REPORTS_A_TURN: Final = 64


class RelayError(Exception):
    """The relay cannot carry a session; the text says why."""


@dataclass(frozen=True, slots=True)
class RelayEnd:
    """How a session ended. Bytes that came from the first and from the second socket of ``join``."""

    bytes_from_a: int
    bytes_from_b: int
    reason: str


OnEnded = Callable[[str, RelayEnd], None]
OnCounters = Callable[[dict[str, tuple[int, int]]], None]


class _Worker:
    """One worker process as the GateManager sees it."""

    def __init__(self) -> None:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            ours.setblocking(False)
            argv = [sys.executable, "-P", "-m", "gm_server.relay.worker", str(theirs.fileno())]
            try:
                self.process = subprocess.Popen(argv, pass_fds=[theirs.fileno()], stdin=subprocess.DEVNULL)
            except OSError:
                ours.close()
                raise
        self.channel = ours
        self.sessions: dict[str, tuple[int, int]] = {}
        """Session id -> bytes from a, from b, as far as reported."""
        self.answers: dict[str, asyncio.Future[None]] = {}
        self.stats_wanted: list[asyncio.Future[Stats]] = []


class RelayPool:
    """Worker processes that splice sessions. Everything is called from, and calls back in, one asyncio loop.

    ``on_ended`` is called once for every session that ``join`` returned for; ``on_counters`` about once a second with
    the sessions whose bytes changed (bytes from a, bytes from b, since the beginning).
    """

    def __init__(
        self, count: int | None = None, *, on_ended: OnEnded | None = None, on_counters: OnCounters | None = None
    ) -> None:
        self._count = count or os.cpu_count() or 1
        self.on_ended: OnEnded = on_ended or (lambda _session_id, _end: None)
        self.on_counters: OnCounters = on_counters or (lambda _sessions: None)
        self._workers: list[_Worker] = []
        self._restarts: set[asyncio.Task[None]] = set()
        self._closed = True

    async def start(self) -> RelayPool:
        """Start the workers. Raises OSError if the operating system does not let us."""
        self._closed = False
        for _ in range(self._count):
            self._start_worker()
        return self

    async def join(self, session_id: str, sock_a: socket.socket, sock_b: socket.socket) -> None:
        """Hand over both legs of a session; returns when bytes flow.

        The sockets are closed in this process in every case, and are the relay's from now on. Raises RelayError.
        """
        with sock_a, sock_b:
            if any(session_id in worker.sessions or session_id in worker.answers for worker in self._workers):
                raise RelayError(f"the session {session_id} is relayed already")
            if not self._workers:
                raise RelayError("no relay worker is running")
            worker = min(self._workers, key=lambda worker: len(worker.sessions) + len(worker.answers))
            answer: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            worker.answers[session_id] = answer
            try:
                socket.send_fds(worker.channel, [encode(Join(session_id))], [sock_a.fileno(), sock_b.fileno()])
            except BlockingIOError:
                del worker.answers[session_id]
                raise RelayError("the relay worker has too much to do") from None
            except OSError as error:
                del worker.answers[session_id]
                raise RelayError(f"the relay worker is gone: {error.strerror}") from None
        try:
            async with asyncio.timeout(_ANSWER_TIMEOUT_S):
                await answer
        except TimeoutError:
            worker.process.kill()
            raise RelayError(f"the relay worker did not answer for {_ANSWER_TIMEOUT_S:.0f} s") from None
        except asyncio.CancelledError:
            self._send(worker, EndSession(session_id))
            raise
        finally:
            worker.answers.pop(session_id, None)

    def end(self, session_id: str) -> None:
        """Close both legs of a session now; ``on_ended`` follows. Nothing happens if it is not there."""
        for worker in self._workers:
            if session_id in worker.sessions or session_id in worker.answers:
                self._send(worker, EndSession(session_id))

    async def stats(self) -> list[Stats]:
        """Return how each worker is."""
        futures = []
        for worker in self._workers:
            future: asyncio.Future[Stats] = asyncio.get_running_loop().create_future()
            worker.stats_wanted.append(future)
            self._send(worker, AskStats())
            futures.append(future)
        async with asyncio.timeout(_ANSWER_TIMEOUT_S):
            return list(await asyncio.gather(*futures))

    @property
    def pids(self) -> list[int]:
        """The process ids of the workers."""
        return [worker.process.pid for worker in self._workers]

    async def close(self) -> None:
        """End the workers, and with them every session, without a report. May be called twice."""
        self._closed = True
        for task in self._restarts:
            task.cancel()
        loop = asyncio.get_running_loop()
        workers, self._workers = self._workers, []
        for worker in workers:
            loop.remove_reader(worker.channel.fileno())
            worker.channel.close()
            self._give_up_waiting(worker)
        for worker in workers:
            await asyncio.to_thread(_reap, worker.process)

    # -- workers ------------------------------------------------------------------------------------------------------

    def _start_worker(self) -> None:
        worker = _Worker()
        self._workers.append(worker)
        asyncio.get_running_loop().add_reader(worker.channel.fileno(), self._on_report, worker)

    def _send(self, worker: _Worker, command: Command) -> None:
        try:
            worker.channel.send(encode(command))
        except BlockingIOError:
            # Its queue is full: it hangs. Killing it ends its sessions, and that is what was asked for at the least.
            worker.process.kill()
        except OSError:
            # It is gone; the reader will see that.
            return

    def _on_report(self, worker: _Worker) -> None:
        for _ in range(_REPORTS_A_TURN):
            try:
                packet = worker.channel.recv(MAX_MESSAGE_BYTES)
            except BlockingIOError:
                return
            except OSError:
                packet = b""
            if not packet:
                self._on_death(worker)
                return
            match decode_report(packet):
                case Joined(session_id):
                    worker.sessions[session_id] = (0, 0)
                    _answer(worker, session_id, None)
                case Refused(session_id, text):
                    _answer(worker, session_id, RelayError(f"the relay refused the session: {text}"))
                case Ended(session_id, from_a, from_b, text):
                    worker.sessions.pop(session_id, None)
                    self.on_ended(session_id, RelayEnd(from_a, from_b, text))
                case Counters(sessions):
                    changed = {session_id: (from_a, from_b) for session_id, from_a, from_b in sessions}
                    worker.sessions.update(changed)
                    self.on_counters(changed)
                case Stats() as stats:
                    future = worker.stats_wanted.pop(0)
                    if not future.done():
                        future.set_result(stats)

    def _on_death(self, worker: _Worker) -> None:
        asyncio.get_running_loop().remove_reader(worker.channel.fileno())
        worker.channel.close()
        self._workers.remove(worker)
        worker.process.kill()
        self._give_up_waiting(worker)
        _log.error("relay worker %d died with %d sessions", worker.process.pid, len(worker.sessions))
        sessions, worker.sessions = worker.sessions, {}
        for session_id, (from_a, from_b) in sessions.items():
            self.on_ended(session_id, RelayEnd(from_a, from_b, "the relay worker died"))
        if not self._closed:
            task = asyncio.get_running_loop().create_task(self._replace(worker))
            self._restarts.add(task)
            task.add_done_callback(self._restarts.discard)

    async def _replace(self, worker: _Worker) -> None:
        await asyncio.to_thread(_reap, worker.process)
        while not self._closed:
            try:
                self._start_worker()
            except OSError as error:
                _log.error("cannot start a relay worker: %s", error)  # one line is enough
                await asyncio.sleep(_RESTART_PAUSE_S)
            else:
                return

    def _give_up_waiting(self, worker: _Worker) -> None:
        for future in worker.answers.values():
            if not future.done():
                future.set_exception(RelayError("the relay worker died"))
        for wanted in worker.stats_wanted:
            if not wanted.done():
                wanted.set_exception(RelayError("the relay worker died"))


def _answer(worker: _Worker, session_id: str, error: RelayError | None) -> None:
    future = worker.answers.get(session_id)
    if future is None or future.done():
        return
    if error is None:
        future.set_result(None)
    else:
        future.set_exception(error)


def _reap(process: subprocess.Popen[bytes]) -> None:
    try:
        process.wait(_END_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()

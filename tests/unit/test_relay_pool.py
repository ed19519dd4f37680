"""The relay with real worker processes and real TCP connections over loopback."""

from __future__ import annotations

import asyncio
import os
import select
import signal
import socket
import struct
import sys
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import pytest

from gm_server.relay.pool import RelayEnd, RelayError, RelayPool

_DEADLINE_S = 60.0
_FAIR_BYTES = 256 << 20
"""What a session that takes all it can may carry until another one has its turn: far more than it does."""


class _Pool:
    """A pool and what it called back."""

    def __init__(self, pool: RelayPool) -> None:
        self.pool = pool
        self.ended: dict[str, RelayEnd] = {}
        self.counters: dict[str, tuple[int, int]] = {}
        self._news = asyncio.Event()
        pool.on_ended = self._on_ended
        pool.on_counters = self._on_counters

    async def wait(self, condition: Callable[[], bool]) -> None:
        """Wait until a call back made it true."""
        async with asyncio.timeout(_DEADLINE_S):
            while not condition():
                self._news.clear()
                await self._news.wait()

    def _on_ended(self, session_id: str, end: RelayEnd) -> None:
        assert session_id not in self.ended
        self.ended[session_id] = end
        self._news.set()

    def _on_counters(self, sessions: dict[str, tuple[int, int]]) -> None:
        self.counters.update(sessions)
        self._news.set()


@asynccontextmanager
async def _started(count: int = 1) -> AsyncIterator[_Pool]:
    pool = await RelayPool(count).start()
    try:
        yield _Pool(pool)
    finally:
        await pool.close()


@contextmanager
def _connection() -> Iterator[tuple[socket.socket, socket.socket]]:
    """An outer end, and the leg that the relay gets."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        outer = socket.create_connection(listener.getsockname())
        leg, _ = listener.accept()
    outer.settimeout(_DEADLINE_S)
    with outer, leg:
        yield outer, leg


@contextmanager
def _legs() -> Iterator[tuple[socket.socket, socket.socket, socket.socket, socket.socket]]:
    with _connection() as (outer_a, leg_a), _connection() as (outer_b, leg_b):
        yield outer_a, leg_a, outer_b, leg_b


def _exactly(sock: socket.socket, size: int) -> bytes:
    found = bytearray()
    while len(found) < size:
        part = sock.recv(min(1 << 20, size - len(found)))
        if not part:
            break
        found += part
    return bytes(found)


def test_bytes_pass_both_ways_when_two_legs_are_joined() -> None:
    async def scenario() -> None:
        async with _started() as here:
            with _legs() as (outer_a, leg_a, outer_b, leg_b):
                outer_a.sendall(b"before the join")
                await here.pool.join("s1", leg_a, leg_b)
                assert leg_a.fileno() == leg_b.fileno() == -1
                assert _exactly(outer_b, 15) == b"before the join"
                outer_b.sendall(b"answer")
                assert _exactly(outer_a, 6) == b"answer"

    asyncio.run(scenario())


def test_rest_is_delivered_when_one_leg_says_fin_first() -> None:
    async def scenario() -> None:
        async with _started() as here:
            with _legs() as (outer_a, leg_a, outer_b, leg_b):
                await here.pool.join("s1", leg_a, leg_b)
                outer_a.sendall(b"last words")
                outer_a.shutdown(socket.SHUT_WR)
                assert _exactly(outer_b, 100) == b"last words"
                outer_b.sendall(b"heard")
                assert _exactly(outer_a, 5) == b"heard"
                assert not here.ended
                outer_b.close()
                assert outer_a.recv(1) == b""
                await here.wait(lambda: "s1" in here.ended)
                assert here.ended["s1"] == RelayEnd(10, 5, "closed by both ends")

    asyncio.run(scenario())


@pytest.mark.slow
def test_nothing_is_lost_or_changed_when_the_target_takes_nothing_for_a_while() -> None:
    data = memoryview(os.urandom(1 << 20) * 48)

    def fill(sock: socket.socket) -> int:
        """Send until every buffer on the way is full; the bytes that went."""
        sent = 0
        sock.setblocking(False)
        while sent < len(data) and select.select([], [sock], [], 0.5)[1]:
            sent += sock.send(data[sent:])
        sock.settimeout(_DEADLINE_S)
        return sent

    def send_rest(sock: socket.socket, sent: int) -> None:
        sock.sendall(data[sent:])
        sock.shutdown(socket.SHUT_WR)

    async def scenario() -> None:
        async with _started() as here:
            with _legs() as (outer_a, leg_a, outer_b, leg_b):
                await here.pool.join("s1", leg_a, leg_b)
                sent = await asyncio.to_thread(fill, outer_a)
                assert 0 < sent < len(data)
                sender = threading.Thread(target=send_rest, args=(outer_a, sent))
                sender.start()
                received = await asyncio.to_thread(_exactly, outer_b, len(data) + 1)
                sender.join()
                assert received == data
                outer_b.close()
                await here.wait(lambda: "s1" in here.ended)
                assert here.ended["s1"].bytes_from_a == len(data)

    asyncio.run(scenario())


def test_session_ends_when_a_leg_is_reset() -> None:
    async def scenario() -> None:
        async with _started() as here:
            with _legs() as (outer_a, leg_a, outer_b, leg_b):
                await here.pool.join("s1", leg_a, leg_b)
                outer_a.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                outer_a.close()
                await here.wait(lambda: "s1" in here.ended)
                assert "lost" in here.ended["s1"].reason
                assert outer_b.recv(1) == b""

    asyncio.run(scenario())


def test_both_legs_are_closed_when_the_session_is_ended_by_command() -> None:
    async def scenario() -> None:
        async with _started() as here:
            with _legs() as (outer_a, leg_a, outer_b, leg_b):
                await here.pool.join("s1", leg_a, leg_b)
                here.pool.end("s1")
                await here.wait(lambda: "s1" in here.ended)
                assert outer_a.recv(1) == outer_b.recv(1) == b""
                here.pool.end("s1")
                here.pool.end("never was")

    asyncio.run(scenario())


@pytest.mark.slow
def test_counters_come_when_bytes_were_moved_and_only_then() -> None:
    async def scenario() -> None:
        async with _started() as here:
            with _legs() as busy, _legs() as idle:
                await here.pool.join("busy", busy[1], busy[3])
                await here.pool.join("idle", idle[1], idle[3])
                busy[0].sendall(b"x" * 1000)
                busy[2].sendall(b"y" * 10)
                await here.wait(lambda: here.counters.get("busy") == (1000, 10))
                assert "idle" not in here.counters

    asyncio.run(scenario())


def test_session_is_refused_when_its_id_is_in_use() -> None:
    async def scenario() -> None:
        async with _started(2) as here:
            with _legs() as first, _legs() as second:
                await here.pool.join("s1", first[1], first[3])
                with pytest.raises(RelayError, match="s1"):
                    await here.pool.join("s1", second[1], second[3])
                assert second[0].recv(1) == b""
                first[0].sendall(b"still there")
                assert _exactly(first[2], 11) == b"still there"

    asyncio.run(scenario())


def test_sessions_are_spread_when_there_are_two_workers() -> None:
    async def scenario() -> None:
        async with _started(2) as here:
            with _legs() as first, _legs() as second:
                await here.pool.join("s1", first[1], first[3])
                await here.pool.join("s2", second[1], second[3])
                assert [stats.sessions for stats in await here.pool.stats()] == [1, 1]

    asyncio.run(scenario())


def test_worker_is_replaced_and_its_sessions_have_ended_when_it_is_killed() -> None:
    async def scenario() -> None:
        async with _started() as here:
            with _legs() as first, _legs() as second:
                await here.pool.join("s1", first[1], first[3])
                (pid,) = here.pool.pids
                os.kill(pid, signal.SIGKILL)
                await here.wait(lambda: "s1" in here.ended)
                assert "worker" in here.ended["s1"].reason
                assert first[0].recv(1) == b""
                await _until(lambda: bool(here.pool.pids))
                assert here.pool.pids != [pid]
                await here.pool.join("s1", second[1], second[3])
                second[0].sendall(b"again")
                assert _exactly(second[2], 5) == b"again"

    asyncio.run(scenario())


def test_idle_sessions_cost_two_descriptors_each_and_no_pipe() -> None:
    async def scenario() -> None:
        async with _started() as here:
            (before,) = await here.pool.stats()
            legs = [_legs() for _ in range(20)]
            opened = [leg.__enter__() for leg in legs]
            try:
                for number, (outer_a, leg_a, outer_b, leg_b) in enumerate(opened):
                    await here.pool.join(f"s{number}", leg_a, leg_b)
                    outer_a.sendall(b"hello")
                    assert _exactly(outer_b, 5) == b"hello"
                (after,) = await here.pool.stats()
                assert after.sessions == 20
                # The spare one serves them all.
                assert after.pipes == 1
                assert after.descriptors - before.descriptors == 2 * 20
            finally:
                for leg in legs:
                    leg.__exit__(None, None, None)
            await here.wait(lambda: len(here.ended) == 20)
            (end,) = await here.pool.stats()
            assert end.descriptors == before.descriptors

    asyncio.run(scenario())


@pytest.mark.slow
def test_quiet_session_is_served_when_another_takes_all_it_can() -> None:
    async def scenario() -> list[int]:
        async with _started() as here:
            with _legs() as busy, _legs() as quiet:
                await here.pool.join("busy", busy[1], busy[3])
                await here.pool.join("quiet", quiet[1], quiet[3])
                stop, carried = threading.Event(), 0

                def send() -> None:
                    block = bytes(1 << 20)
                    while not stop.is_set():
                        busy[0].sendall(block)
                    busy[0].close()

                def receive() -> None:
                    nonlocal carried
                    buffer = bytearray(1 << 20)
                    while size := busy[2].recv_into(buffer):
                        carried += size

                threads = [threading.Thread(target=work) for work in (send, receive)]
                for thread in threads:
                    thread.start()
                # Counted and not timed: a machine that is busy otherwise holds both up alike.
                meanwhile = []
                for sock in (quiet[0], quiet[2]):
                    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                for _ in range(50):
                    before = carried
                    quiet[0].sendall(b"question")
                    assert _exactly(quiet[2], 8) == b"question"
                    meanwhile.append(carried - before)
                stop.set()
                for thread in threads:
                    thread.join(_DEADLINE_S)
                assert carried > 0
                return meanwhile

    assert sorted(asyncio.run(scenario()))[25] < _FAIR_BYTES


@pytest.mark.slow
def test_worker_ends_when_the_gate_manager_is_killed(tmp_path: Path) -> None:
    pids = tmp_path / "pids"
    program = (
        "import asyncio, os, pathlib\n"
        "from gm_server.relay.pool import RelayPool\n"
        "async def main():\n"
        "    pool = await RelayPool(2).start()\n"
        "    await pool.stats()\n"
        f"    pathlib.Path({str(pids)!r}).write_text(' '.join(map(str, pool.pids)))\n"
        "    os.kill(os.getpid(), 9)\n"
        "asyncio.run(main())\n"
    )

    async def scenario() -> None:
        process = await asyncio.create_subprocess_exec(sys.executable, "-c", program)
        assert await process.wait() == -signal.SIGKILL
        workers = [int(word) for word in pids.read_text(encoding="ascii").split()]
        assert len(workers) == 2
        await _until(lambda: not any(_is_alive(pid) for pid in workers))

    asyncio.run(scenario())


def test_join_is_refused_when_the_pool_is_closed() -> None:
    async def scenario() -> None:
        async with _started() as here:
            await here.pool.close()
            with _legs() as (_outer_a, leg_a, _outer_b, leg_b), pytest.raises(RelayError):
                await here.pool.join("s1", leg_a, leg_b)

    asyncio.run(scenario())


async def _until(condition: Callable[[], bool]) -> None:
    """Wait for what no event tells of."""
    async with asyncio.timeout(_DEADLINE_S):
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(0.01)


def _is_alive(pid: int) -> bool:
    """Whether it runs; an orphan that nobody has collected yet does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False

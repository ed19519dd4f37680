"""The limits of a slow line at the relay, with times of the test's own, and the pipes that are lent."""

from __future__ import annotations

import fcntl
import os
import socket
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from gm_server.relay.pipes import PipeStock
from gm_server.relay.session import Session


class _Joined:
    """A session whose outer ends the test holds."""

    def __init__(self, stack: ExitStack) -> None:
        self.outer_a, leg_a = self._connection(stack)
        self.outer_b, leg_b = self._connection(stack)
        self.stock = PipeStock()
        self.session = Session("s1", leg_a, leg_b)
        stack.callback(self.stock.close)
        stack.callback(self.session.close, self.stock)

    def _connection(self, stack: ExitStack) -> tuple[socket.socket, socket.socket]:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            outer = stack.enter_context(socket.create_connection(listener.getsockname()))
            leg, _ = listener.accept()
        leg.setblocking(False)
        outer.setblocking(False)
        return outer, leg

    def block(self) -> None:
        """Send from a to b until b takes no more."""
        while not self.session.from_a.is_full:
            try:
                self.outer_a.send(bytes(1 << 16))
            except BlockingIOError:
                pytest.fail("the target never became full")
            self.session.from_a.move(self.stock)

    def drain(self) -> None:
        """Take everything out at b."""
        while True:
            try:
                self.outer_b.recv(1 << 20)
            except BlockingIOError:
                if not self.session.from_a.is_full:
                    return
                self.session.from_a.move_rest(self.stock)


@pytest.fixture
def joined() -> Iterator[_Joined]:
    with ExitStack() as stack:
        yield _Joined(stack)


@pytest.fixture
def slow(joined: _Joined) -> _Joined:
    """The line to b took nothing for a fifth of a second."""
    joined.block()
    joined.session.from_a.measure(100.0)
    joined.session.from_a.measure(100.2)
    assert joined.session.from_a.review(100.3, 1.0)
    return joined


def test_line_stays_slow_when_nothing_has_moved_since(slow: _Joined) -> None:
    direction = slow.session.from_a
    slow.drain()
    direction.measure(101.0)
    direction.review(101.5, 1.0)
    assert direction.review(102.5, 1.0)


def test_line_is_fast_again_when_more_moves_than_was_measured(slow: _Joined) -> None:
    direction = slow.session.from_a
    slow.drain()
    direction.measure(101.0)
    direction.review(101.5, 1.0)
    slow.outer_a.send(b"x" * 1000)
    direction.move(slow.stock)
    assert not direction.review(102.5, 1.0)


def test_line_was_never_slow_when_it_was_never_full(joined: _Joined) -> None:
    joined.outer_a.send(b"x" * 1000)
    joined.session.from_a.move(joined.stock)
    assert not joined.session.from_a.review(100.0, 1.0)


@pytest.fixture
def stock() -> Iterator[PipeStock]:
    found = PipeStock()
    yield found
    found.close()


def test_pipe_is_lent_again_when_it_came_back_empty(stock: PipeStock) -> None:
    first = stock.spare
    stock.lend_spare()
    second = stock.spare
    stock.give_back(first)
    stock.lend_spare()
    assert stock.spare is first
    assert stock.open == 2
    stock.give_back(second)


def test_pipe_is_closed_when_bytes_are_left_in_it(stock: PipeStock) -> None:
    pipe = stock.spare
    os.write(pipe.write_fd, b"rest")
    pipe.held_bytes = 4
    stock.lend_spare()
    stock.give_back(pipe)
    assert stock.open == 1
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(pipe.read_fd)


def test_spare_pipe_is_another_one_when_its_bytes_had_nowhere_to_go(stock: PipeStock) -> None:
    spoiled = stock.spare
    os.write(spoiled.write_fd, b"rest")
    stock.replace_spare()
    assert stock.spare is not spoiled
    assert stock.open == 1


def test_pipes_are_small_when_many_are_lent_at_once(stock: PipeStock) -> None:
    pipes = []
    for _ in range(20):
        pipes.append(stock.spare)
        stock.lend_spare()
    sizes = [pipe.size_bytes for pipe in pipes]
    assert sizes[0] > sizes[-1] >= 4096
    assert sum(sizes) < 20 * 1024 * 1024
    for pipe in pipes:
        stock.give_back(pipe)


def test_pipe_is_used_as_it_is_when_the_kernel_refuses_to_grow_it(monkeypatch: pytest.MonkeyPatch) -> None:
    real = fcntl.fcntl

    def refuse(descriptor: int, command: int, argument: int = 0) -> int:
        if command == fcntl.F_SETPIPE_SZ:
            raise PermissionError(1, "Operation not permitted")
        return real(descriptor, command, argument)

    monkeypatch.setattr(fcntl, "fcntl", refuse)
    stock = PipeStock()
    assert stock.spare.size_bytes == 65536
    stock.close()

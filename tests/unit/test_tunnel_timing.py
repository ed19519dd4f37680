"""When a tunnel pings and gives up, and how it finds out that a line is slow; all with times of the test's own."""

from __future__ import annotations

import pytest

from gatelink.tunnel.line_rate import LineRate
from gatelink.tunnel.liveness import Liveness


def test_far_end_lives_when_bytes_come_in_every_interval() -> None:
    liveness = Liveness(25.0, now=0.0)
    received = 0
    for number in range(1, 100):
        received += 30
        assert liveness.tick(25.0 * number, received)
    assert liveness.next_at == 25.0 * 100


def test_far_end_is_dead_when_two_intervals_were_silent() -> None:
    liveness = Liveness(25.0, now=0.0)
    assert liveness.tick(25.0, received=10)
    assert liveness.tick(50.0, received=10)
    assert not liveness.tick(75.0, received=10)


def test_far_end_lives_again_when_bytes_come_after_one_silent_interval() -> None:
    liveness = Liveness(25.0, now=0.0)
    assert liveness.tick(25.0, received=10)
    assert liveness.tick(50.0, received=10)
    assert liveness.tick(75.0, received=11)
    assert liveness.tick(100.0, received=11)


def test_round_trip_is_known_when_the_pong_comes() -> None:
    liveness = Liveness(25.0, now=0.0)
    token = liveness.ping(1.0)
    assert liveness.rtt_s is None
    liveness.pong(token, 1.25)
    assert liveness.rtt_s == pytest.approx(0.25)


def test_pong_is_ignored_when_it_answers_no_open_ping() -> None:
    liveness = Liveness(25.0, now=0.0)
    liveness.pong(b"\0" * 8, 1.0)
    old = liveness.ping(1.0)
    new = liveness.ping(2.0)
    liveness.pong(old, 3.0)
    assert liveness.rtt_s is None
    liveness.pong(new, 3.0)
    liveness.pong(new, 9.0)
    assert liveness.rtt_s == pytest.approx(1.0)


def _fill(rate: LineRate, start_s: float, bytes_a_second: float, seconds: float = 1.0, sent: int = 0) -> None:
    steps = int(seconds / 0.01)
    for number in range(steps + 1):
        now = start_s + number * 0.01
        rate.full(now, sent + int(bytes_a_second * number * 0.01))
        rate.free(now + 0.005)


def test_line_is_slow_when_it_was_full_at_20_mbit() -> None:
    rate = LineRate()
    _fill(rate, 0.0, 2.5e6)
    assert rate.is_slow
    assert rate.bytes_a_second == pytest.approx(2.5e6, rel=0.05)


def test_line_is_fast_when_it_was_full_at_a_gigabit() -> None:
    rate = LineRate()
    _fill(rate, 0.0, 125e6)
    assert not rate.is_slow


def test_nothing_is_known_when_the_line_was_full_now_and_then_only() -> None:
    rate = LineRate()
    for number in range(100):
        rate.full(number * 1.0, number * 1000)
        rate.free(number * 1.0 + 0.01)
    assert rate.bytes_a_second is None
    assert not rate.is_slow


def test_line_is_fast_again_when_it_carries_much_more_than_a_slow_one() -> None:
    rate = LineRate()
    _fill(rate, 0.0, 2.5e6)
    _fill(rate, 10.0, 7e6, sent=10_000_000)
    assert rate.is_slow
    _fill(rate, 20.0, 20e6, sent=20_000_000)
    assert not rate.is_slow


def test_line_is_slow_when_it_is_blocked_for_long() -> None:
    rate = LineRate()
    for number in range(20):
        rate.full(number * 0.1, 5000)
    assert rate.is_slow
    assert rate.bytes_a_second == pytest.approx(0.0)

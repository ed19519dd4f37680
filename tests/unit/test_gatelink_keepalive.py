"""Keepalive and back-off, by a clock that is an argument."""

from __future__ import annotations

from gatelink.backoff import Backoff
from gatelink.keepalive import Keepalive, Verdict


def test_keepalive_is_due_when_nothing_was_sent_for_the_interval() -> None:
    keepalive = Keepalive(25, now=100)
    assert keepalive.verdict(124.9) is Verdict.WAIT
    assert keepalive.verdict(125) is Verdict.SEND
    keepalive.sent(125)
    assert keepalive.next_at == 150


def test_peer_is_dead_when_two_keepalives_were_missed() -> None:
    keepalive = Keepalive(25, now=100)
    for now in (125.0, 150.0):
        assert keepalive.verdict(now) is Verdict.SEND
        keepalive.sent(now)
    assert keepalive.verdict(162.4) is Verdict.WAIT
    assert keepalive.verdict(162.5) is Verdict.DEAD


def test_peer_lives_when_anything_was_heard() -> None:
    keepalive = Keepalive(25, now=100)
    keepalive.heard(160)
    keepalive.sent(160)
    assert keepalive.verdict(180) is Verdict.WAIT


def test_interval_told_by_the_gatemanager_is_used_from_then_on() -> None:
    keepalive = Keepalive(25, now=0)
    keepalive.change_interval(300)
    assert keepalive.next_at == 300
    assert keepalive.verdict(299) is Verdict.WAIT


def test_backoff_bound_doubles_up_to_the_longest_and_starts_again_after_success() -> None:
    bounds: list[tuple[float, float]] = []

    def highest(low: float, high: float) -> float:
        bounds.append((low, high))
        return high

    backoff = Backoff(highest, first_s=1, longest_s=60)
    assert [backoff.next_delay_s() for _ in range(8)] == [1, 2, 4, 8, 16, 32, 60, 60]
    backoff.reset()
    assert backoff.next_delay_s() == 1
    assert {low for low, _ in bounds} == {0}


def test_backoff_does_not_overflow_when_the_gatemanager_is_away_for_months() -> None:
    backoff = Backoff(lambda _low, high: high)
    assert max(backoff.next_delay_s() for _ in range(5000)) == 60

"""The short form of `make soak`: what a real daemon holds is the same after sessions, and without a GateManager."""

from __future__ import annotations

import pytest

from bench.soak.held import Held
from bench.soak.unit import Unit
from bench.soak.verdict import PIECES, text, verdicts
from lab import Lab, TimedOut, wait_until

pytestmark = [pytest.mark.netns, pytest.mark.timeout(600)]
_WARM, _SESSIONS, _ATTEMPTS = 10, 60, 8
_BACKOFF_S = 1.0
_DEADLINE_S = 120.0


def wait_until_as_before(unit: Unit, before: Held) -> None:
    """Wait until nothing is there in more pieces than it was: between two attempts, and when the last end is told."""

    def is_as_before() -> bool:
        return not [name for name, *_, grown in verdicts(before, unit.now()) if grown and name in PIECES]

    try:
        wait_until(is_as_before, _DEADLINE_S, "the daemon to hold what it held")
    except TimedOut:
        pytest.fail(text(before, unit.now()))


def test_daemon_holds_what_it_held_when_sessions_came_and_went_and_no_gatemanager_answers(lab: Lab) -> None:
    unit = Unit(lab, _BACKOFF_S)
    assert unit.call(_WARM, 2).endswith(" 0 failed")
    before = unit.at_rest()
    assert not {"cryptography", "starlette", "pymodbus"}.intersection(before.packages), "megabytes that nobody needs"
    assert unit.call(_SESSIONS, 4).endswith(" 0 failed")
    wait_until_as_before(unit, before)

    unit.gm.kill9()
    wait_until(lambda: unit.failed_attempts() >= 3, _DEADLINE_S, "the first attempts to fail")
    before = unit.at_rest()
    seen = unit.failed_attempts()
    wait_until(lambda: unit.failed_attempts() >= seen + _ATTEMPTS, _DEADLINE_S, "more attempts to fail")
    wait_until_as_before(unit, before)

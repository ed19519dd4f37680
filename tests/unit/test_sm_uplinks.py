"""Which way out is in use, and when it changes."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sitemanager.core.uplinks import (
    ACTIVE_TABLE,
    BACK_S,
    FAIL_S,
    Seen,
    UplinkChoice,
    UplinkConfig,
    route_commands,
    uplink_mistakes,
)

GOOD = Seen("10.0.0.2", "10.0.0.1", reaches=True)
BAD = Seen("10.0.0.2", "10.0.0.1", reaches=False)
NEW = Seen("10.0.0.2", "10.0.0.1")
GONE = Seen(text="no cable")


def choice(*steps: tuple[float, Seen, Seen]) -> list[str]:
    """The uplink in use after each step: time, the best uplink, the reserve."""
    made = UplinkChoice(("office", "modem"))
    return [made.decide({"office": office, "modem": modem}, now) for now, office, modem in steps]


def test_best_is_used_from_the_start_unless_only_another_one_reaches() -> None:
    assert choice((0, NEW, NEW)) == ["office"]
    assert choice((0, BAD, GOOD)) == ["modem"]
    assert choice((0, GONE, NEW)) == ["modem"]
    assert choice((0, GONE, GONE)) == [""]


def test_lost_cable_changes_at_once() -> None:
    assert choice((0, GOOD, GOOD), (1, GONE, GOOD)) == ["office", "modem"]


def test_dead_line_behind_a_good_cable_changes_after_a_while() -> None:
    steps = ((0.0, GOOD, GOOD), (10.0, BAD, GOOD), (10 + FAIL_S - 1, BAD, GOOD), (10 + FAIL_S, BAD, GOOD))
    assert choice(*steps) == ["office", "office", "office", "modem"]


def test_nothing_changes_when_no_other_one_is_better() -> None:
    assert choice((0, GOOD, BAD), (10, BAD, BAD), (100, BAD, BAD)) == ["office"] * 3


def test_short_break_changes_nothing() -> None:
    steps = ((0.0, GOOD, GOOD), (10.0, BAD, GOOD), (20.0, GOOD, GOOD), (20 + FAIL_S - 1, BAD, GOOD), (40.0, BAD, GOOD))
    assert choice(*steps) == ["office"] * 5


def test_better_one_is_taken_back_when_it_was_good_for_long() -> None:
    begin = ((0.0, GONE, GOOD), (100.0, GOOD, GOOD))
    assert choice(*begin, (100 + BACK_S - 1, GOOD, GOOD), (100 + BACK_S, GOOD, GOOD))[2:] == ["modem", "office"]
    flapping = ((130.0, BAD, GOOD), (140.0, GOOD, GOOD), (100 + BACK_S, GOOD, GOOD))
    assert choice(*begin, *flapping)[2:] == ["modem"] * 3


@given(st.lists(st.tuples(st.floats(0.1, 30), st.sampled_from([GOOD, BAD, GONE, NEW])), max_size=60))
def test_flapping_best_line_never_makes_the_unit_flap(weather: list[tuple[float, Seen]]) -> None:
    """Between two changes back to the best one at least ``BACK_S`` go by."""
    made, now, backs, before = UplinkChoice(("office", "modem")), 0.0, [], ""
    for wait_s, office in weather:
        now += wait_s
        active = made.decide({"office": office, "modem": GOOD}, now)
        assert active != "office" or office.is_usable
        if active == "office" and before == "modem":
            backs.append(now)
        before = active
    assert all(later - earlier >= BACK_S for earlier, later in itertools.pairwise(backs))


def test_default_route_of_the_system_is_not_touched() -> None:
    rows = route_commands([("office", "eth0", GOOD), ("modem", "wwan0", GONE)], "office", [6699, 6799])
    assert rows[:2] == ["rule del priority 6699", "rule del priority 6799"]
    assert all("table" in row for row in rows if row.startswith("route"))
    assert "rule add lookup main suppress_prefixlength 0 priority 6699" in rows
    assert f"rule add lookup {ACTIVE_TABLE} priority {ACTIVE_TABLE}" in rows
    assert not any("wwan0" in row for row in rows)


@pytest.mark.parametrize(
    ("uplink", "words"),
    [
        (UplinkConfig(name="a", interface="eth1"), "is the machine side"),
        (UplinkConfig(name="a", interface="eth0", address="10.0.0.2/24"), "go together"),
        (UplinkConfig(name="a", interface="eth0", address="10.0.0.2", gateway="10.0.0.1"), "address and its prefix"),
        (UplinkConfig(name="a", interface="eth0", address="10.0.0.2/24", gateway="10.9.0.1"), "is not in"),
        (UplinkConfig(name="a", interface="eth0", address="x", gateway="10.9.0.1"), "uplinks[0].address"),
    ],
)
def test_mistakes_are_named(uplink: UplinkConfig, words: str) -> None:
    assert any(words in mistake for mistake in uplink_mistakes([uplink], ["eth1"]))

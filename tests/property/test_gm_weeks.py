"""Weekly windows: against a plain reading of the clock on the wall, in zones whose clocks are set."""

from __future__ import annotations

import datetime
import zoneinfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatelink.exceptions import InputError
from gm_server.access.weeks import Weekly, Window, describe, parse_weekly, parse_window, store_weekly

# Lord Howe sets its clocks by half an hour, Kathmandu's offset is 5:45, Santiago's clocks change at midnight.
_ZONES = ("Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kathmandu", "America/Santiago", "UTC")
_CLOCKS = st.builds(lambda hour, minute: f"{hour:02}:{minute:02}", st.integers(0, 23), st.sampled_from((0, 15, 30, 59)))
_WINDOWS = st.builds(
    lambda days, begin, end: Window(days=days, begin=begin, end=end),
    st.frozensets(st.integers(0, 6), min_size=1),
    _CLOCKS,
    _CLOCKS,
)
_WEEKLIES = st.builds(
    lambda zone, windows: Weekly(zone=zone, windows=tuple(windows)),
    st.sampled_from(_ZONES),
    st.lists(_WINDOWS, min_size=1, max_size=3),
)
_YEAR = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC).timestamp()
_MOMENTS = st.integers(0, 366 * 86400).map(lambda second: _YEAR + second)
# The hours in which clocks are set, in which things go wrong.
_HARD = st.sampled_from(
    [
        (2026, 3, 29, 0, "Europe/Berlin"),
        (2026, 10, 25, 0, "Europe/Berlin"),
        (2026, 3, 8, 6, "America/New_York"),
        (2026, 11, 1, 5, "America/New_York"),
        (2026, 10, 3, 15, "Australia/Lord_Howe"),
        (2026, 4, 4, 14, "Australia/Lord_Howe"),
        (2026, 9, 6, 3, "America/Santiago"),
        (2026, 4, 5, 2, "America/Santiago"),
    ]
)


def _plainly_open(weekly: Weekly, now: float) -> bool:
    wall = datetime.datetime.fromtimestamp(now, zoneinfo.ZoneInfo(weekly.zone))
    minute = wall.hour * 60 + wall.minute
    for window in weekly.windows:
        begin, end = (int(clock[:2]) * 60 + int(clock[3:]) for clock in (window.begin, window.end))
        length = (end - begin) % 1440 or 1440
        for day in window.days:
            since_begin = ((wall.weekday() - day) * 1440 + minute - begin) % (7 * 1440)
            if since_begin < length:
                return True
    return False


@given(_WEEKLIES, _MOMENTS)
def test_window_is_open_as_the_clock_on_the_wall_says(weekly: Weekly, now: float) -> None:
    assert weekly.is_open(now) == _plainly_open(weekly, now)


@given(_WEEKLIES, _MOMENTS, st.integers(1, 40))
def test_nothing_changes_before_the_moment_that_was_named(weekly: Weekly, now: float, steps: int) -> None:
    change = weekly.next_change(now)
    end = now + 7 * 86400 if change is None else change
    assert end > now
    for step in range(steps):
        moment = now + (end - now) * step / steps
        assert weekly.is_open(moment) == weekly.is_open(now)
    if change is not None:
        assert weekly.is_open(change) != weekly.is_open(now)


@given(_HARD, st.lists(_WINDOWS, min_size=1, max_size=2), st.integers(0, 4 * 60))
def test_changes_are_found_when_clocks_are_set(
    hard: tuple[int, int, int, int, str], windows: list[Window], minutes: int
) -> None:
    year, month, day, hour, zone = hard
    now = datetime.datetime(year, month, day, hour, tzinfo=datetime.UTC).timestamp() + minutes * 60.0
    weekly = Weekly(zone=zone, windows=tuple(windows))
    change = weekly.next_change(now)
    moment = now
    while moment < now + 6 * 3600 and (change is None or moment < change):
        assert _plainly_open(weekly, moment) == _plainly_open(weekly, now), moment
        moment += 60


@given(_WEEKLIES)
def test_windows_are_read_as_they_were_written(weekly: Weekly) -> None:
    assert parse_weekly(store_weekly(weekly)) == weekly
    for window in weekly.windows:
        text = describe(Weekly(zone="UTC", windows=(window,))).removesuffix(" (UTC)")
        again = parse_window(text)
        assert again.days == window.days
        assert window.begin == window.end or again == window


def test_whole_working_week_when_it_is_written_as_people_do() -> None:
    weekly = Weekly(zone="Europe/Berlin", windows=(parse_window("mon-fri 08:00-17:00"),))
    berlin = zoneinfo.ZoneInfo("Europe/Berlin")
    friday = datetime.datetime(2026, 11, 20, 16, 59, 59, tzinfo=berlin).timestamp()
    assert weekly.is_open(friday)
    assert weekly.next_change(friday) == friday + 1
    assert not weekly.is_open(friday + 1)
    assert weekly.next_change(friday + 1) == datetime.datetime(2026, 11, 23, 8, tzinfo=berlin).timestamp()
    assert parse_window("sat-mon").days == {5, 6, 0}
    assert parse_window("sun 22:00-24:00").end == "00:00"


@pytest.mark.parametrize("text", ["", "mon 8-17", "someday 08:00-09:00", "mon 08:00", "mon 25:00-26:00", "mon-"])
def test_window_that_cannot_be_is_refused(text: str) -> None:
    with pytest.raises(InputError, match="expected a weekly window"):
        parse_window(text)


@pytest.mark.parametrize(
    "text", ["{", '{"zone":"UTC","windows":[]}', '{"zone":"../etc/passwd","windows":[{"days":[0]}]}', '{"zone":"UTC"}']
)
def test_damaged_windows_open_nothing(text: str) -> None:
    with pytest.raises(InputError):
        parse_weekly(text)

"""Weekly windows: when a grant counts within the week, by the clock on the wall of a place. No I/O but time zone data.

A window belongs to the days on which it begins; one whose end is not after its begin goes on into the next day. Days
are as people there live them: when clocks are set forward a window is shorter, when they are set back longer.
"""

from __future__ import annotations

import datetime
import zoneinfo
from functools import lru_cache
from typing import Annotated, Final

import msgspec
from msgspec import Meta

from gatelink.exceptions import InputError

MAX_WINDOWS: Final = 32
DAY_NAMES: Final = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_HORIZON_DAYS: Final = 8
"""After a week everything repeats, but for the clocks' changes."""
Clock = Annotated[str, Meta(pattern=r"^([01][0-9]|2[0-3]):[0-5][0-9]$")]


class Window(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """On these days (0 is Monday) from ``begin`` until before ``end``; the same for both is the whole day."""

    days: Annotated[frozenset[Annotated[int, Meta(ge=0, le=6)]], Meta(min_length=1, max_length=7)]
    begin: Clock = "00:00"
    end: Clock = "00:00"


class Weekly(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Windows in the time of a zone, like ``Europe/Berlin``."""

    zone: Annotated[str, Meta(min_length=1, max_length=64)]
    windows: Annotated[tuple[Window, ...], Meta(min_length=1, max_length=MAX_WINDOWS)]

    def is_open(self, now: float) -> bool:
        """Whether ``now`` (Unix time) lies in a window."""
        wall = datetime.datetime.fromtimestamp(now, zone_of(self.zone))
        return any(_holds(window, wall) for window in self.windows)

    def next_change(self, now: float) -> float | None:
        """Return the first moment after ``now`` at which ``is_open`` answers otherwise; None: not for a week."""
        return _next_change(self, now)


def parse_weekly(text: str) -> Weekly | None:
    """Read what ``store_weekly`` wrote; None if it is empty. Raises InputError: a damaged one never opens anything."""
    if not text:
        return None
    try:
        weekly = msgspec.json.decode(text, type=Weekly)
    except msgspec.DecodeError as error:
        raise InputError(f"the weekly windows cannot be read: {error}") from None
    zone_of(weekly.zone)
    return weekly


def store_weekly(weekly: Weekly | None) -> str:
    """Return the text under which windows stand in the records."""
    return "" if weekly is None else msgspec.json.encode(weekly, order="sorted").decode()


def parse_window(text: str) -> Window:
    """Read a window as people write it: ``mon-fri 08:00-17:00``, ``sat,sun``; raises InputError."""
    days, _, hours = text.strip().lower().partition(" ")
    found: set[int] = set()
    try:
        for part in days.split(","):
            first, dash, last = part.partition("-")
            begin = DAY_NAMES.index(first)
            end = DAY_NAMES.index(last) if dash else begin
            found.update((begin + step) % 7 for step in range((end - begin) % 7 + 1))
        begin_clock, dash, end_clock = (hours.strip() or "00:00-00:00").partition("-")
        if end_clock == "24:00":
            end_clock = "00:00"
        window = Window(days=frozenset(found), begin=begin_clock, end=end_clock)
        return msgspec.convert(msgspec.to_builtins(window), Window)
    except (ValueError, msgspec.ValidationError):
        raise InputError(f"expected a weekly window like 'mon-fri 08:00-17:00', got {text[:60]!r}") from None


def describe(weekly: Weekly) -> str:
    """Return the windows as ``parse_window`` reads them, and the zone."""
    return ", ".join(map(_describe, weekly.windows)) + f" ({weekly.zone})"


@lru_cache(maxsize=256)
def zone_of(name: str) -> zoneinfo.ZoneInfo:
    """Return a time zone; raises InputError if there is none of this name."""
    try:
        return zoneinfo.ZoneInfo(name)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
        raise InputError(f"there is no time zone {name[:60]!r}; expected one like Europe/Berlin or UTC") from None


@lru_cache(maxsize=1024)
def _next_change(weekly: Weekly, now: float) -> float | None:
    """Remembered, because one moment is judged for thousands of devices."""
    state = weekly.is_open(now)
    moments = sorted({moment for moment in _moments(weekly, now) if moment > now})
    return next((moment for moment in moments if weekly.is_open(moment) is not state), None)


def _moments(weekly: Weekly, now: float) -> set[float]:
    """Return when windows begin and end, and when clocks are set, in the days around."""
    zone = zone_of(weekly.zone)
    today = datetime.datetime.fromtimestamp(now, zone).date()
    found: set[float] = set()
    for ahead in range(-1, _HORIZON_DAYS + 1):
        day = today + datetime.timedelta(days=ahead)
        for window in weekly.windows:
            for clock in (window.begin, window.end):
                local = datetime.datetime.combine(day, _time(clock), zone)
                found.update(local.replace(fold=fold).timestamp() for fold in (0, 1))
        change = _clocks_set(datetime.datetime.combine(day, datetime.time(), zone).timestamp(), zone)
        if change is not None:
            found.add(change)
    return found


def _holds(window: Window, wall: datetime.datetime) -> bool:
    begin, end, clock = _time(window.begin), _time(window.end), wall.time()
    today = wall.weekday() in window.days
    if begin < end:
        return today and begin <= clock < end
    yesterday = (wall.weekday() - 1) % 7 in window.days
    return (today and clock >= begin) or (yesterday and clock < end)


def _time(clock: str) -> datetime.time:
    return datetime.time(int(clock[:2]), int(clock[3:]))


def _clocks_set(begin: float, zone: zoneinfo.ZoneInfo) -> float | None:
    """Return when, in the 26 hours from ``begin`` on, the zone's offset changes, to the second."""
    low, high = int(begin), int(begin) + 26 * 3600
    before = _offset(low, zone)
    if _offset(high, zone) == before:
        return None
    while high - low > 1:
        middle = (low + high) // 2
        if _offset(middle, zone) == before:
            low = middle
        else:
            high = middle
    return float(high)


def _offset(moment: float, zone: zoneinfo.ZoneInfo) -> datetime.timedelta | None:
    return datetime.datetime.fromtimestamp(moment, zone).utcoffset()


def _describe(window: Window) -> str:
    days = sorted(window.days)
    if len(days) > 2 and days == list(range(days[0], days[-1] + 1)):
        names = f"{DAY_NAMES[days[0]]}-{DAY_NAMES[days[-1]]}"
    else:
        names = ",".join(DAY_NAMES[day] for day in days)
    return names if window.begin == window.end else f"{names} {window.begin}-{window.end}"

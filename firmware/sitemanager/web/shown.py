"""How values read on a page."""

from __future__ import annotations

import datetime
from collections.abc import Callable
from typing import Any, Final


def moment(unix_s: float | None) -> str:
    """Return a Unix time for people."""
    if unix_s is None:
        return "never"
    try:
        return datetime.datetime.fromtimestamp(unix_s, datetime.UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    except (ValueError, OverflowError, OSError):
        return "unknown"


def clock(unix_s: float) -> str:
    """Return the time of day of a log line."""
    try:
        return datetime.datetime.fromtimestamp(unix_s, datetime.UTC).strftime("%m-%d %H:%M:%S")
    except (ValueError, OverflowError, OSError):
        return ""


def duration(seconds: float | None) -> str:
    """Return a length of time, in the two largest units."""
    if seconds is None:
        return ""
    left = max(0, int(seconds))
    parts: list[str] = []
    for name, size in (("d", 86400), ("h", 3600), ("min", 60), ("s", 1)):
        if left >= size or (name == "s" and not parts):
            parts.append(f"{left // size} {name}")
            left %= size
    return " ".join(parts[:2])


def size(count: int) -> str:
    """Return a number of bytes."""
    value = float(count)
    for unit in ("bytes", "kB", "MB", "GB"):
        if value < 1000 or unit == "GB":
            return f"{value:.0f} {unit}" if unit == "bytes" else f"{value:.1f} {unit}"
        value /= 1000
    return ""


FILTERS: Final[dict[str, Callable[..., Any]]] = {
    "moment": moment,
    "clock": clock,
    "duration": duration,
    "size": size,
}

"""Waiting for a condition that has no event of its own."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

from lab.exceptions import TimedOut

Seen = TypeVar("Seen")


def wait_until(predicate: Callable[[], Seen], deadline_s: float, what: str) -> Seen:
    """Ask again and again (every 10 ms at first, every 100 ms later) until the answer is true, and return that answer.

    Raises TimedOut, which says what was waited for and what the last answer was.
    """
    end = time.monotonic() + deadline_s
    pause_s = 0.01
    while not (seen := predicate()):
        left_s = end - time.monotonic()
        if left_s <= 0:
            raise TimedOut(f"waited {deadline_s:g} s for {what}; seen last: {seen!r}")
        time.sleep(min(pause_s, left_s))
        pause_s = min(pause_s * 1.5, 0.1)
    return seen

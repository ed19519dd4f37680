"""The daemon's last lines, kept in memory for the page; each goes to the journal as before."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Final

from sitemanager.core.local_requests import LogAnswer, LogLine
from sitemanager.logs import printable

MOST_LINES: Final = 1000
"""About 200 KiB at most lengths; what is older is in the journal, where there is one."""


class Log:
    """Call it with a line. ``now`` gives Unix seconds."""

    def __init__(self, forward: Callable[[str], None], now: Callable[[], float]) -> None:
        self._forward = forward
        self._now = now
        self._lines: deque[LogLine] = deque(maxlen=MOST_LINES)
        self._number = 0

    def __call__(self, text: str) -> None:
        """Keep a line and hand it on."""
        self._number += 1
        self._lines.append(LogLine(self._number, self._now(), printable(text)))
        self._forward(text)

    def since(self, number: int) -> LogAnswer:
        """Return the lines after this number."""
        return LogAnswer(lines=tuple(line for line in self._lines if line.number > number))

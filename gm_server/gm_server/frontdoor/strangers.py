"""Counts what strangers do wrong, and logs a bounded number of lines a minute about it."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable
from typing import Final

from gm_server.names import printable

LINES_A_MINUTE: Final = 30
_LINE_CHARACTERS: Final = 300
_log = logging.getLogger("gm.frontdoor")


class Strangers:
    """``clock`` is monotonic."""

    def __init__(self, clock: Callable[[], float], lines_a_minute: int = LINES_A_MINUTE) -> None:
        self._clock = clock
        self._lines_a_minute = lines_a_minute
        self._minute_began = clock()
        self._lines = 0
        self._unsaid = 0
        self.counts: Counter[str] = Counter()
        """Since the start, by kind."""

    def note(self, kind: str, address: str, text: object) -> None:
        """Count one, and log it if this minute has a line left."""
        self.counts[kind] += 1
        now = self._clock()
        if now - self._minute_began >= 60:
            if self._unsaid:
                _log.warning("strangers: %d more errors in the last minute were not logged", self._unsaid)
            self._minute_began, self._lines, self._unsaid = now, 0, 0
        if self._lines < self._lines_a_minute:
            self._lines += 1
            _log.info("%s: %s: %s", address, kind, printable(str(text))[:_LINE_CHARACTERS])
        else:
            self._unsaid += 1

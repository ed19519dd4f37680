"""How fast a line is that is full again and again. No I/O: time comes in as ``now`` (monotonic seconds).

Both ends of a tunnel and the relay use it to find out that a line is slow (a cellular uplink, 20 Mbit/s), because
there a buffer that is nothing on a fast line is half a second (docs/decisions/0012).
"""

from __future__ import annotations

from typing import Final

SLOW_BYTES_A_SECOND: Final = 6e6
"""48 Mbit/s. Above it 256 KiB are less than 45 ms, and nothing special is done."""
_FAST_BYTES_A_SECOND: Final = 8e6
"""A line that was slow has to be this fast to count as fast again."""
_WINDOW_S: Final = 0.1
_GAP_S: Final = 0.05
"""A line that took everything for so long was not full: the measurement starts again."""
_WEIGHT: Final = 0.5


class LineRate:
    """Measures while the line is full: ``full`` each time it took less than there was, ``free`` when it took all."""

    __slots__ = ("_free_since", "_sent", "_since", "bytes_a_second", "is_slow")

    def __init__(self) -> None:
        self._since: float | None = None
        self._sent = 0
        self._free_since: float | None = None
        self.bytes_a_second: float | None = None
        """None as long as the line was never full for a tenth of a second."""
        self.is_slow = False

    def full(self, now: float, sent: int) -> bool:
        """The line is full at ``now``, and took ``sent`` bytes since the beginning; returns whether the rate is new."""
        free_since, self._free_since = self._free_since, None
        if self._since is None or (free_since is not None and now - free_since > _GAP_S):
            self._since, self._sent = now, sent
            return False
        elapsed_s = now - self._since
        if elapsed_s < _WINDOW_S:
            return False
        rate = (sent - self._sent) / elapsed_s
        self._since, self._sent = now, sent
        before = self.bytes_a_second
        self.bytes_a_second = rate if before is None else before + _WEIGHT * (rate - before)
        self.is_slow = self.bytes_a_second < (_FAST_BYTES_A_SECOND if self.is_slow else SLOW_BYTES_A_SECOND)
        return True

    def free(self, now: float) -> None:
        """The line took everything at ``now``."""
        if self._free_since is None:
            self._free_since = now

    def is_free(self, now: float) -> bool:
        """Whether the line has taken everything for a while."""
        return self._free_since is not None and now - self._free_since > _GAP_S

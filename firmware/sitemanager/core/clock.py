"""The GateManager's time, for a gateway whose own clock may be years off. No I/O: all times come in.

Steady time (monotonic seconds) runs on whatever happens to the system clock; the GateManager's Welcome says what Unix
time it is at a steady moment. From then on ``now`` is the GateManager's time, until the system clock agrees with it to
``TOLERANCE_S``: then it was set by somebody (NTP, a battery, us) and is as good.
"""

from __future__ import annotations

from typing import Final

TOLERANCE_S: Final = 5.0
"""A network's delay and NTP's first coarse step; far below every deadline that is judged."""


class GmClock:
    """Unix time in seconds as the GateManager has it."""

    __slots__ = ("_offset_s",)

    def __init__(self) -> None:
        self._offset_s: float | None = None

    def learn(self, gm_unix_s: float, steady_s: float) -> None:
        """Note that it was ``gm_unix_s`` at ``steady_s``. A later statement replaces an earlier one."""
        self._offset_s = gm_unix_s - steady_s

    def is_system_clock_set(self, system_unix_s: float, steady_s: float) -> bool | None:
        """Whether the system clock agrees with the GateManager's; None while that is not known."""
        if self._offset_s is None:
            return None
        return abs(system_unix_s - steady_s - self._offset_s) <= TOLERANCE_S

    def now(self, system_unix_s: float, steady_s: float) -> float:
        """Return the Unix time: the system's where it is set or nothing else is known, else the GateManager's."""
        if self._offset_s is None or self.is_system_clock_set(system_unix_s, steady_s):
            return system_unix_s
        return steady_s + self._offset_s

    def gm_now(self, steady_s: float) -> float | None:
        """Return the Unix time by the GateManager's clock alone; None before it told it."""
        return None if self._offset_s is None else steady_s + self._offset_s

"""Tells the GateManager what this unit is like now: after every login and at every change, at most once in 2 s."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Final

import msgspec

from gatelink.messages import ApplianceStatus
from gatelink.messages.appliance import SerialPortState, UplinkState

from .gm_line import GmLine

REST_S: Final = 2.0


class ApplianceReport:
    """Parts set what they know of, and call ``changed``."""

    def __init__(self, line: GmLine, lock_reason: Callable[[], str | None], uptime_s: Callable[[], float]) -> None:
        self._line = line
        self._lock_reason = lock_reason
        self._uptime_s = uptime_s
        self._said: ApplianceStatus | None = None
        self._timer: asyncio.TimerHandle | None = None
        self.uplinks: Callable[[], Sequence[UplinkState]] = tuple
        self.serial_ports: Callable[[], Sequence[SerialPortState]] = tuple
        self.modes: tuple[str, ...] = ("routed",)
        self.hardware = ""
        self.firmware = ""
        self.slot = ""
        line.on_connected(lambda _: self._say(anew=True))

    def changed(self) -> None:
        """Look at it all again soon."""
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(REST_S, self._say)

    def close(self) -> None:
        """Say nothing more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _say(self, *, anew: bool = False) -> None:
        self.close()
        now = self._now()
        is_same = self._said is not None and msgspec.structs.replace(now, uptime_s=self._said.uptime_s) == self._said
        if (anew or not is_same) and self._line.tell(now):
            self._said = now

    def _now(self) -> ApplianceStatus:
        reason = self._lock_reason()
        return ApplianceStatus(
            hardware=self.hardware[:128],
            firmware=self.firmware[:128],
            slot=self.slot[:16],
            uptime_s=self._uptime_s(),
            locked=reason is not None,
            locked_by=(reason or "")[:64],
            uplinks=tuple(self.uplinks())[:16],
            serial_ports=tuple(self.serial_ports())[:32],
            modes=self.modes,  # type: ignore[arg-type]
        )

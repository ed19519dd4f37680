"""The sign of life for the image's guard, and what the guard has to tell: which system runs, and why not another.

The guard (firmware/guard) runs without CPython and knows nothing of this daemon but one file: it changes while the
event loop turns. Where no guard runs, nobody reads it. It is in memory, so it costs no card anything.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Final

from sitemanager.config import Config
from sitemanager.core.status import Status

FILE_NAME: Final = "heartbeat"
PERIOD_S: Final = 5.0
"""The guard calls a minute without change a hung daemon."""
_FIRMWARE: Final = Path("/run/gatelink/firmware")
_TOLD: Final = "firmware-told"
_MAX_BYTES: Final = 4096


class Heartbeat:
    """A part of the daemon."""

    def __init__(
        self,
        runtime: Path,
        status: Callable[[], Status],
        record: Callable[[str, str], None],
        firmware: Path = _FIRMWARE,
    ) -> None:
        self._path = runtime / FILE_NAME
        self._told = runtime / _TOLD
        self._status = status
        self._record = record
        self._firmware = firmware
        self._beating: asyncio.Task[None] | None = None

    async def use(self, config: Config) -> None:
        """Begin, at the first configuration."""
        del config
        if self._beating is None:
            self._tell_trouble()
            self._beating = asyncio.create_task(self._beat())

    async def close(self) -> None:
        """End."""
        if self._beating is not None:
            self._beating.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._beating
        with contextlib.suppress(OSError):
            self._path.unlink(missing_ok=True)

    async def _beat(self) -> None:
        for number in itertools.count(1):
            with contextlib.suppress(OSError):
                self._path.write_text(f"beat={number}\nconnected={int(self._status().connected)}\n")
            await asyncio.sleep(PERIOD_S)

    def _tell_trouble(self) -> None:
        """Once a boot: the GateManager hears that an update did not hold, and what is wrong with the data partition."""
        try:
            with self._firmware.open() as file:
                rows = dict(row.split("=", 1) for row in file.read(_MAX_BYTES).splitlines() if "=" in row)
            if self._told.exists():
                return
            self._told.touch()
            if "fell_back" in rows:
                words = f"slot {rows.get('slot', '?')} with version {rows.get('version', '?')} runs"
                self._record("firmware", f"fell back: {words}, because of {rows['fell_back']}"[:500])
            if "data" in rows:
                self._record("firmware", f"data partition: {rows['data']}"[:500])
        except (OSError, UnicodeDecodeError):
            return

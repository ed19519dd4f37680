"""Turns at the costly part of a connection: handshakes, a few at a time, first come first served.

A turn lasts until its work is done, but at most ``hold_s``: a peer that is slow to answer goes on without one, so that
a handful of them cannot hold up the others.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

HOLD_S: Final = 0.25


class Turns:
    """``count`` at the same time."""

    def __init__(self, count: int, hold_s: float = HOLD_S) -> None:
        self._free = asyncio.Semaphore(count)
        self._hold_s = hold_s

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        """Wait for a turn and have it while inside."""
        await self._free.acquire()
        over = asyncio.get_running_loop().call_later(self._hold_s, self._free.release)
        try:
            yield
        finally:
            if over.when() > asyncio.get_running_loop().time() and not over.cancelled():
                over.cancel()
                self._free.release()

"""Takes firmware from browsers and programs: streamed to the disk off the event loop, bounded in number and size."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from typing import Final

from gm_server.appliances.bundle_files import BundleFiles, Received
from gm_server.exceptions import Overloaded

AT_ONCE: Final = 3
"""Uploads at the same time. A security limit."""
DEADLINE_S: Final = 4 * 3600.0
"""For one upload. A security limit; a gibibyte at 600 kbit/s."""
_PIECE_BYTES: Final = 1 << 20


class Uploads:
    """The uploads of a server."""

    def __init__(self, files: BundleFiles) -> None:
        self.files = files
        self._running = 0

    @contextlib.asynccontextmanager
    async def receive(self, stream: AsyncIterator[bytes], goes_on: Callable[[], None]) -> AsyncIterator[Received]:
        """Receive a bundle; what of it is not kept within the block is gone behind it.

        ``goes_on`` is told whenever something came. Raises InputError, GatelinkError, Overloaded, TimeoutError.
        """
        if self._running >= AT_ONCE:
            raise Overloaded(f"{AT_ONCE} uploads are under way already: try again when one of them is done")
        self._running += 1
        try:
            incoming = await asyncio.to_thread(self.files.begin)
            try:
                async with asyncio.timeout(DEADLINE_S):
                    piece = bytearray()
                    async for part in stream:
                        goes_on()
                        piece += part
                        if len(piece) >= _PIECE_BYTES:
                            await asyncio.to_thread(incoming.write, bytes(piece))
                            piece.clear()
                    await asyncio.to_thread(incoming.write, bytes(piece))
                yield await asyncio.to_thread(incoming.finish)
            finally:
                await asyncio.to_thread(incoming.discard)
        finally:
            self._running -= 1

"""Tells an event loop that the other end of a stream is gone, while nothing is expected from it.

A descriptor is watched by the loop; a pipe, which no loop can wait for beside sockets, is looked at once a second.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

from . import Stream

LOOK_S: Final = 1.0


class Watch:
    """From ``start`` to ``stop``, again and again; in the loop's thread."""

    def __init__(self, stream: Stream) -> None:
        self._stream = stream
        self._on_lost: Callable[[], None] | None = None
        self._descriptor = -1
        self._timer: asyncio.TimerHandle | None = None

    def start(self, on_lost: Callable[[], None]) -> None:
        """Call ``on_lost`` once when the other end is gone."""
        self.stop()
        self._on_lost = on_lost
        loop = asyncio.get_running_loop()
        fileno: Callable[[], int] | None = getattr(self._stream, "fileno", None)
        if fileno is not None:
            self._descriptor = fileno()
            loop.add_reader(self._descriptor, self._look)
        else:
            self._timer = loop.call_later(LOOK_S, self._look)

    def stop(self) -> None:
        """Watch no more. Idempotent; before the stream is closed."""
        self._on_lost = None
        if self._descriptor >= 0:
            asyncio.get_running_loop().remove_reader(self._descriptor)
            self._descriptor = -1
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _look(self) -> None:
        if self._stream.is_alive():
            if self._timer is not None:
                self._timer = asyncio.get_running_loop().call_later(LOOK_S, self._look)
            return
        on_lost = self._on_lost
        self.stop()
        if on_lost is not None:
            on_lost()

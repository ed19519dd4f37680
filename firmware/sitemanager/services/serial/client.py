"""One TCP connection of a PC to a serial port. It outlives a break of its session: TCP repeats what was lost."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

from sitemanager.core.serial_settings import Offer

LINGER_S: Final = 45.0
"""For so long a session may be away: LinkManagers are back from a break of 30 s well within it."""
MAX_UNSENT_BYTES: Final = 1024 * 1024
"""What a line says while its session is away: 30 s at 115,200 baud are a third of it."""


class Client:
    """``mark`` says whose session it came by: a later session with the same address may be another user's."""

    def __init__(
        self, offer: Offer, pc: str, mark: int, user: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self.offer = offer
        self.pc = pc
        self.mark = mark
        self.user = user
        self.reader = reader
        self.writer = writer
        self._linger: asyncio.TimerHandle | None = None
        writer.transport.set_write_buffer_limits(high=MAX_UNSENT_BYTES, low=MAX_UNSENT_BYTES // 4)

    @property
    def is_away(self) -> bool:
        """Whether its session is broken just now."""
        return self._linger is not None

    @property
    def is_full(self) -> bool:
        """Whether so much is unsent that the line has to wait."""
        return self.writer.transport.get_write_buffer_size() > MAX_UNSENT_BYTES

    def away(self, give_up: Callable[[Client], None]) -> None:
        """Its session is gone; ``give_up`` is called unless it comes back in time."""
        if self._linger is None:
            self._linger = asyncio.get_running_loop().call_later(LINGER_S, give_up, self)

    def back(self) -> None:
        """Its session is here."""
        if self._linger is not None:
            self._linger.cancel()
            self._linger = None

    def close(self) -> None:
        """End it at once; what is unsent is dropped."""
        self.back()
        self.writer.transport.abort()

"""Contacts, relays and LEDs in memory. A contact tells of a change by a pipe, as the kernel does."""

from __future__ import annotations

import os


class FakeInput:
    """A test closes it, opens it, or pulls the chip out."""

    def __init__(self) -> None:
        self._reader, self._writer = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self._closed = False
        self.is_gone = False
        self.is_released = False

    def change(self, *, closed: bool) -> None:
        """Close or open the contact."""
        self._closed = closed
        os.write(self._writer, b"e")

    def pull_out(self) -> None:
        """The chip goes away."""
        self.is_gone = True
        os.write(self._writer, b"e")

    def is_closed(self) -> bool:
        """Return what was set."""
        if self.is_gone:
            raise OSError("no such device")
        return self._closed

    def fileno(self) -> int:
        """Return the pipe's end."""
        return self._reader

    def drain(self) -> None:
        """Empty the pipe."""
        os.read(self._reader, 4096)
        if self.is_gone:
            raise OSError("no such device")

    def close(self) -> None:
        """Close the pipe."""
        if not self.is_released:
            self.is_released = True
            os.close(self._reader)
            os.close(self._writer)


class FakeOutput:
    """Remembers what it shows."""

    def __init__(self) -> None:
        self.is_on = False

    def set(self, *, on: bool) -> None:
        """Remember it."""
        self.is_on = on

    def close(self) -> None:
        """Fall back to off."""
        self.is_on = False

"""Bytes between two programs of one PC, and who is at the other end: a Unix socket, on Windows a named pipe.

``unix`` and ``pipe`` are the two kinds; ``listen`` and ``connect`` choose by the operating system. Who is at the other
end is said by the kernel: a user id (int), on Windows the user's SID (str). Nobody can lie about it.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Protocol, TypeAlias

Caller: TypeAlias = int | str


class Stream(Protocol):
    """One connection. Errors are OSError, TimeoutError when ``settimeout`` ran out."""

    @property
    def caller(self) -> Caller:
        """The user at the other end."""

    def settimeout(self, seconds: float | None) -> None:
        """Bound every ``recv`` and ``sendall`` from now on."""

    def recv(self, size_bytes: int) -> bytes:
        """Wait for something; empty when the other end hung up."""

    def sendall(self, data: bytes) -> None:
        """Send all of it."""

    def hand_over(self, descriptor: int) -> int:
        """Give the other end an open adapter with what is sent next; return the number to tell it."""

    def taken(self, number: int) -> int | None:
        """Return the adapter that was handed over with the last answer, which told ``number``; None if none was."""

    def is_alive(self) -> bool:
        """Whether the other end still holds its end. Does not wait."""

    def hang_up(self) -> None:
        """End the connection from another thread: a ``recv`` that waits returns. ``close`` is still to be called."""

    def close(self) -> None:
        """Give it back. Idempotent."""


class Endpoint(Protocol):
    """Where streams come in."""

    def accept(self) -> Stream:
        """Wait for the next one. Raises OSError after ``close``."""

    def close(self) -> None:
        """Stop listening; any thread."""


def listen(path: Path, *, for_everybody: bool) -> Endpoint:
    """Listen for the owner alone, or ``for_everybody`` on this PC: then look at ``caller``. Raises OSError."""
    if sys.platform == "win32":
        from . import pipe

        return pipe.PipeEndpoint(pipe.pipe_name(path), for_everybody=for_everybody)
    from . import unix

    return unix.UnixEndpoint(path, for_everybody=for_everybody)


def connect(path: Path, timeout_s: float | None = None) -> Stream:
    """Connect to who listens there. Raises OSError."""
    if sys.platform == "win32":
        from . import pipe

        return pipe.connect(pipe.pipe_name(path), timeout_s)
    from . import unix

    return unix.connect(path, timeout_s)

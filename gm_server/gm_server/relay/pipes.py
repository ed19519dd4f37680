"""Kernel pipes to splice through. A direction holds one only while bytes are in it, so an idle session costs none."""

from __future__ import annotations

import fcntl
import os
from dataclasses import dataclass
from typing import Final

WANTED_BYTES: Final = 256 * 1024
"""Size that a pipe is grown to (docs/decisions/0012)."""
_KEPT_PIPES: Final = 4
"""Empty pipes that are kept for the next direction."""


@dataclass(slots=True, eq=False)
class Pipe:
    """One pipe: ``size_bytes`` go in at most, ``held_bytes`` are in it."""

    read_fd: int
    write_fd: int
    size_bytes: int
    held_bytes: int = 0


class PipeStock:
    """Lends pipes. The kernel may refuse to grow one (pipe-user-pages-soft, for others than root): then it is small."""

    def __init__(self, wanted_bytes: int = WANTED_BYTES) -> None:
        self._wanted_bytes = wanted_bytes
        self._free: list[Pipe] = []
        self.open = 0
        """Pipes that exist, lent or not."""

    def borrow(self) -> Pipe:
        """Return an empty pipe. Raises OSError when the process has no descriptors left."""
        if self._free:
            return self._free.pop()
        read_fd, write_fd = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            size_bytes = fcntl.fcntl(write_fd, fcntl.F_SETPIPE_SZ, self._wanted_bytes)
        except OSError:
            size_bytes = fcntl.fcntl(write_fd, fcntl.F_GETPIPE_SZ)
        self.open += 1
        return Pipe(read_fd, write_fd, size_bytes)

    def give_back(self, pipe: Pipe) -> None:
        """Take back a pipe; one with bytes in it is closed, and the bytes are lost."""
        if pipe.held_bytes or len(self._free) >= _KEPT_PIPES:
            self._close(pipe)
        else:
            self._free.append(pipe)

    def close(self) -> None:
        """Close the pipes that are not lent."""
        while self._free:
            self._close(self._free.pop())

    def _close(self, pipe: Pipe) -> None:
        os.close(pipe.read_fd)
        os.close(pipe.write_fd)
        self.open -= 1

"""Kernel pipes to splice through. A direction holds one only while bytes are in it, so an idle session costs none."""

from __future__ import annotations

import contextlib
import fcntl
import os
from dataclasses import dataclass
from typing import Final

WANTED_BYTES: Final = 1024 * 1024
"""Size that a pipe is grown to (docs/decisions/0011)."""
_GROWN_PIPES: Final = 16
"""So many are grown at most; the others keep the kernel's 64 KiB. Bounds kernel memory, and without CAP_SYS_RESOURCE a
user may have 64 MiB of pipes in all (pipe-user-pages-soft), beyond which new ones have a single page."""
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
        self._grown = 0
        self.open = 0
        """Pipes that exist, lent or not."""
        self.spare = self._borrow()
        """An empty pipe for bytes that go straight through; whoever leaves bytes in it calls one of the next two."""

    def lend_spare(self) -> None:
        """The spare pipe is somebody's from now on. Raises OSError when there is no descriptor for the next."""
        self.spare = self._borrow()

    def replace_spare(self) -> None:
        """The bytes in the spare pipe have nowhere to go. Raises OSError when there is no descriptor for the next."""
        spoiled, self.spare = self.spare, self._borrow()
        self._close(spoiled)

    def give_back(self, pipe: Pipe) -> None:
        """Take back a pipe; one with bytes in it is closed, and the bytes are lost."""
        if pipe.held_bytes or len(self._free) >= _KEPT_PIPES:
            self._close(pipe)
        else:
            self._free.append(pipe)

    def close(self) -> None:
        """Close the pipes that are not lent."""
        for pipe in (self.spare, *self._free):
            self._close(pipe)
        self._free.clear()

    def _borrow(self) -> Pipe:
        if self._free:
            return self._free.pop()
        read_fd, write_fd = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        if self._grown < _GROWN_PIPES:
            with contextlib.suppress(OSError):
                fcntl.fcntl(write_fd, fcntl.F_SETPIPE_SZ, self._wanted_bytes)
        pipe = Pipe(read_fd, write_fd, fcntl.fcntl(write_fd, fcntl.F_GETPIPE_SZ))
        self.open += 1
        self._grown += pipe.size_bytes >= self._wanted_bytes
        return pipe

    def _close(self, pipe: Pipe) -> None:
        os.close(pipe.read_fd)
        os.close(pipe.write_fd)
        self.open -= 1
        self._grown -= pipe.size_bytes >= self._wanted_bytes

"""A TAP adapter that needs no rights and no Linux TAP driver: a pair of sockets that keep frames apart.

``TapFrames`` makes of it, or of a real TAP, what the portable pump wants: on Linux that pump runs in tests alone.
"""

from __future__ import annotations

import io
import os
import selectors
import socket
from collections.abc import Callable
from typing import TYPE_CHECKING

from gatelink.exceptions import TapError

from .inbound import GONE
from .offload import Offload

if TYPE_CHECKING:
    from .devices import TapLike


class FakeTap:
    """Stands in for ``tap.Tap``; ``host`` is the end where a test is the kernel: the TAP reads what it sends."""

    def __init__(self, name: str = "fake0", offload: Offload = Offload.NONE) -> None:
        self.name = name
        self.offload = offload
        self.in_force: Offload | None = None
        ours, self.host = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._socket = ours
        for end in (ours, self.host):
            end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 20)
        ours.setblocking(False)
        self.host.settimeout(60)
        self._file = io.FileIO(ours.fileno(), "r+b", closefd=False)

    def fileno(self) -> int:
        """The descriptor, for epoll."""
        return self._socket.fileno()

    def use(self, offload: Offload) -> None:
        """Note what was negotiated."""
        self.in_force = offload

    def ports(self, _offload: Offload) -> tuple[Callable[[memoryview], int | None], Callable[[memoryview], int | None]]:
        """Return how to read and to write one frame."""
        return self._file.readinto, self._file.write

    def close(self) -> None:
        """Close both ends."""
        self._file.close()
        self._socket.close()
        self.host.close()


class TapFrames:
    """A TAP with a descriptor as a ``devices.FrameDevice``; the TAP stays its opener's."""

    def __init__(self, tap: TapLike) -> None:
        self.name = tap.name
        tap.use(Offload.NONE)
        self._read, self._write = tap.ports(Offload.NONE)
        self._interrupted = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._selector = selectors.DefaultSelector()
        self._selector.register(tap.fileno(), selectors.EVENT_READ)
        self._selector.register(self._interrupted, selectors.EVENT_READ)

    def read_frame(self, view: memoryview) -> int:
        """Wait for a frame; 0 after ``interrupt``."""
        while True:
            for key, _ in self._selector.select():
                if key.fd == self._interrupted:
                    os.eventfd_read(self._interrupted)
                    return 0
                try:
                    size = self._read(view)
                except OSError as error:
                    raise TapError(f"the TAP adapter {self.name} was removed or set down") from error
                if size is not None:
                    return size

    def write_frame(self, view: memoryview) -> int | None:
        """Write one frame."""
        try:
            return self._write(view)
        except OSError as error:
            if error.errno in GONE:
                raise TapError(f"the TAP adapter {self.name} was removed or set down") from error
            raise

    def interrupt(self) -> None:
        """Let a ``read_frame`` return 0."""
        os.eventfd_write(self._interrupted, 1)

    def close(self) -> None:
        """Give back what it waited with."""
        self._selector.close()
        os.close(self._interrupted)

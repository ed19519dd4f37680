"""A TAP adapter that needs no rights and no Linux TAP driver: a pair of sockets that keep frames apart."""

from __future__ import annotations

import io
import socket
from collections.abc import Callable

from .offload import Offload


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
        self.host.settimeout(10)
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

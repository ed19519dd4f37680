"""Opens the listening sockets, and accepts as long as there is room.

When descriptors run out accepting pauses instead of spinning; when all places are taken it pauses until one can be
given, and newcomers stay in the kernel's queue.
"""

from __future__ import annotations

import asyncio
import errno
import logging
import socket
from collections.abc import Callable, Sequence
from typing import Final

from gatelink.exceptions import GatelinkError

_BACKLOG: Final = 4096
_ACCEPTS_PER_TURN: Final = 32
"""So that a flood does not keep those that are inside waiting."""
_SHORTAGE_PAUSE_S: Final = 0.2
_SHORTAGES: Final = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})
_log = logging.getLogger("gm.frontdoor")


def open_listeners(listeners: Sequence[tuple[str, int]]) -> list[socket.socket]:
    """Return listening sockets; raises GatelinkError that names the one that cannot be opened.

    IPv6 is left out with a warning where the machine has none.
    """
    opened: list[socket.socket] = []
    try:
        for host, port in listeners:
            try:
                opened.append(_open(host, port))
            except OSError as error:
                if ":" in host and error.errno in (errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL):
                    _log.warning("not listening on [%s]:%d: this machine has no IPv6 there", host, port)
                    continue
                reason = error.strerror or str(error)
                raise GatelinkError(f"cannot listen on {host} port {port}: {reason}") from None
        if not opened:
            raise GatelinkError("there is no address to listen on")
    except GatelinkError:
        for listener in opened:
            listener.close()
        raise
    return opened


class Acceptor:
    """Accepts on all listeners while ``opens_at`` (loop time) says that there is room."""

    def __init__(
        self,
        listeners: Sequence[socket.socket],
        on_connection: Callable[[socket.socket, str], None],
        opens_at: Callable[[float], float],
        is_full: Callable[[], bool],
        on_shortage: Callable[[str], None],
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._listeners = listeners
        self._on_connection = on_connection
        self._opens_at = opens_at
        self._is_full = is_full
        self._on_shortage = on_shortage
        self._paused: asyncio.TimerHandle | None = None
        self._watch()

    def room(self) -> None:
        """A place was given back: go on if accepting was paused."""
        if self._paused is not None and self._opens_at(self._loop.time()) <= self._loop.time():
            self._resume()

    def close(self) -> None:
        """Stop accepting and close the listeners."""
        self._unwatch()
        for listener in self._listeners:
            listener.close()
        self._listeners = ()

    def _accept(self, listener: socket.socket) -> None:
        for _ in range(_ACCEPTS_PER_TURN):
            now = self._loop.time()
            opens_at = self._opens_at(now)
            if opens_at > now:
                self._pause(opens_at - now)
                return
            try:
                connection, address = listener.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return
            except OSError as error:
                if error.errno in _SHORTAGES:
                    self._on_shortage(error.strerror or str(error))
                    self._pause(_SHORTAGE_PAUSE_S)
                    return
                # What accept() reports of a connection that broke already (accept(2)): the next one is not at fault.
                continue
            connection.setblocking(False)
            self._on_connection(connection, str(address[0]))
            if self._is_full():
                # Somebody had to make room: the next one comes from another port, if one waits there.
                return

    def _pause(self, delay_s: float) -> None:
        self._unwatch()
        self._paused = self._loop.call_later(delay_s, self._resume)

    def _resume(self) -> None:
        self._unwatch()
        # The first one to be watched is the first one to be told: in turn, so that no port goes short.
        self._listeners = (*self._listeners[1:], *self._listeners[:1])
        self._watch()

    def _watch(self) -> None:
        for listener in self._listeners:
            self._loop.add_reader(listener.fileno(), self._accept, listener)

    def _unwatch(self) -> None:
        if self._paused is not None:
            self._paused.cancel()
            self._paused = None
        for listener in self._listeners:
            self._loop.remove_reader(listener.fileno())


def _open(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        listener.setblocking(False)
        listener.bind((host, port))
        listener.listen(_BACKLOG)
    except OSError:
        listener.close()
        raise
    return listener

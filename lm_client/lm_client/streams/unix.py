"""Unix sockets (Linux): the kernel says who connected (SO_PEERCRED), adapters are handed over by SCM_RIGHTS."""

from __future__ import annotations

import contextlib
import os
import socket
import struct
from pathlib import Path
from typing import Final

from lm_client.locks import Lock

_BACKLOG: Final = 16
_ucred = struct.Struct("3i")


class UnixStream:
    """Around a connected socket, which it owns; only with ``takes_adapters`` it lets the other end hand some over."""

    def __init__(self, connection: socket.socket, *, takes_adapters: bool = False) -> None:
        self._socket = connection
        self._takes_adapters = takes_adapters
        self._to_give: list[int] = []
        self._received: list[int] = []

    @property
    def caller(self) -> int:
        """The user id of the process that connected."""
        _pid, uid, _gid = _ucred.unpack(self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _ucred.size))
        return int(uid)

    def fileno(self) -> int:
        """The descriptor, for an event loop; -1 once closed."""
        return self._socket.fileno()

    def settimeout(self, seconds: float | None) -> None:
        """Bound every call."""
        self._socket.settimeout(seconds)

    def recv(self, size_bytes: int) -> bytes:
        """Wait for something."""
        if not self._takes_adapters:
            return self._socket.recv(size_bytes)
        data, received, _, _ = socket.recv_fds(self._socket, size_bytes, 1)
        self._received += received
        return data

    def sendall(self, data: bytes) -> None:
        """Send all of it."""
        given, self._to_give = self._to_give, []
        sent = socket.send_fds(self._socket, [data], given) if given else 0
        self._socket.sendall(data[sent:])

    def hand_over(self, descriptor: int) -> int:
        """Let the descriptor go with what is sent next. The number says nothing: the kernel gives another."""
        self._to_give = [descriptor]
        return 0

    def taken(self, _number: int) -> int | None:
        """Return the descriptor that came; the caller owns it from now on."""
        found = self._received.pop(0) if self._received else None
        self._drop_received()
        return found

    def is_alive(self) -> bool:
        """Look whether the other end hung up."""
        try:
            return self._socket.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT) != b""
        except BlockingIOError:
            return True
        except OSError:
            return False

    def hang_up(self) -> None:
        """End it, from any thread."""
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Close the socket, and adapters that nobody took."""
        self._socket.close()
        self._drop_received()

    def _drop_received(self) -> None:
        while self._received:
            os.close(self._received.pop())


class UnixEndpoint:
    """Listens from construction on; what a dead process left at ``path`` is replaced.

    Raises BlockingIOError if a living one listens there.
    """

    def __init__(self, path: Path, *, for_everybody: bool) -> None:
        self._path = path
        path.parent.mkdir(mode=0o755 if for_everybody else 0o700, parents=True, exist_ok=True)
        self._lock = Lock(path.with_name(f"{path.name}.lock"))
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            path.unlink(missing_ok=True)
            before = os.umask(0o177)
            try:
                self._socket.bind(str(path))
            finally:
                os.umask(before)
            if for_everybody:
                path.chmod(0o666)
            self._socket.listen(_BACKLOG)
        except OSError:
            self._socket.close()
            self._lock.release()
            raise

    def accept(self) -> UnixStream:
        """Wait for the next one."""
        connection, _ = self._socket.accept()
        return UnixStream(connection)

    def close(self) -> None:
        """Stop listening and remove the name."""
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        self._path.unlink(missing_ok=True)
        self._lock.release()


def connect(path: Path, timeout_s: float | None) -> UnixStream:
    """Connect. Raises OSError."""
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        connection.settimeout(timeout_s)
        connection.connect(str(path))
    except OSError:
        connection.close()
        raise
    return UnixStream(connection, takes_adapters=True)

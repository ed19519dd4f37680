"""One daemon per network namespace: two of them would take each other's adapters and rules away.

The mark is an abstract Unix socket: the kernel keeps those apart by network namespace, and drops it with its process.
"""

from __future__ import annotations

import socket
from typing import Final

from sitemanager.exceptions import DaemonError

_NAME: Final = "\0gatelink-sitemanager"


class Instance:
    """Held while a process may change the network. Raises DaemonError if another one holds it."""

    def __init__(self) -> None:
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
        try:
            self._socket.bind(_NAME)
        except OSError:
            self._socket.close()
            raise DaemonError("the SiteManager's daemon runs here already; end it first") from None

    def __enter__(self) -> Instance:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()


def is_running() -> bool:
    """Whether a daemon runs in this network namespace."""
    try:
        with Instance():
            return False
    except DaemonError:
        return True

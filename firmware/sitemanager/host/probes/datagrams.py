"""UDP by broadcast on one interface, in the event loop."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from typing import Final

from sitemanager.exceptions import NetworkError

_MAX_BYTES: Final = 4096
_PER_TURN: Final = 64


class BroadcastPort:
    """Hears answers until closed; ``on_datagram`` gets each with its sender. ``port`` 0 is any. Raises NetworkError."""

    def __init__(self, interface: str, port: int, on_datagram: Callable[[bytes, str], None]) -> None:
        self._loop = asyncio.get_running_loop()
        self._on_datagram = on_datagram
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        try:
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, interface.encode())
            self._socket.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_TTL, 1)
            self._socket.bind(("", port))
        except OSError as error:
            self._socket.close()
            raise NetworkError(f"cannot ask by broadcast on {interface}: {error.strerror}") from None
        self._loop.add_reader(self._socket.fileno(), self._on_readable)

    def send(self, data: bytes, address: str, port: int) -> None:
        """Send a datagram; one that cannot be sent is lost, like any other."""
        try:
            self._socket.sendto(data, (address, port))
        except OSError:
            return

    def close(self) -> None:
        """Hear nothing more."""
        self._loop.remove_reader(self._socket.fileno())
        self._socket.close()

    def _on_readable(self) -> None:
        for _ in range(_PER_TURN):
            try:
                data, (address, _) = self._socket.recvfrom(_MAX_BYTES)
            except OSError:
                return
            self._on_datagram(data, address)

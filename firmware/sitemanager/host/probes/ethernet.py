"""Raw Ethernet frames on one interface, in the event loop. Needs CAP_NET_RAW."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from typing import Final

from sitemanager.exceptions import NetworkError

_MAX_FRAME_BYTES: Final = 2048
_FRAMES_PER_TURN: Final = 64


class EthernetPort:
    """Hears frames of one EtherType until closed; ``on_frame`` gets each with its header. Raises NetworkError."""

    def __init__(self, interface: str, ethertype: int, on_frame: Callable[[bytes], None]) -> None:
        self._loop = asyncio.get_running_loop()
        self._on_frame = on_frame
        try:
            kind = socket.SOCK_RAW | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC
            self._socket = socket.socket(socket.AF_PACKET, kind, socket.htons(ethertype))
        except PermissionError:
            raise NetworkError("no right to look at the machine side: CAP_NET_RAW is needed") from None
        except OSError as error:
            raise NetworkError(f"cannot look at {interface}: {error.strerror}") from None
        try:
            self._socket.bind((interface, ethertype))
        except OSError as error:
            self._socket.close()
            raise NetworkError(f"cannot look at {interface}: {error.strerror}") from None
        self._loop.add_reader(self._socket.fileno(), self._on_readable)

    @property
    def mac(self) -> bytes:
        """The interface's own."""
        return bytes(self._socket.getsockname()[4])

    def join(self, group: bytes) -> None:
        """Hear a multicast address as well."""
        index = socket.if_nametoindex(self._socket.getsockname()[0])
        # struct packet_mreq: index, PACKET_MR_MULTICAST, length, address (packet(7)).
        request = index.to_bytes(4, "little") + b"\0\0" + len(group).to_bytes(2, "little") + group.ljust(8, b"\0")
        self._socket.setsockopt(263, 1, request)  # SOL_PACKET, PACKET_ADD_MEMBERSHIP

    def send(self, frame: bytes) -> None:
        """Send a frame; one that does not fit into the queue is lost, like any other."""
        try:
            self._socket.send(frame)
        except OSError:
            return

    def close(self) -> None:
        """Hear nothing more."""
        self._loop.remove_reader(self._socket.fileno())
        self._socket.close()

    def _on_readable(self) -> None:
        for _ in range(_FRAMES_PER_TURN):
            try:
                self._on_frame(self._socket.recv(_MAX_FRAME_BYTES))
            except OSError:
                return

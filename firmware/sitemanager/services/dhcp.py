"""The DHCP server's socket on one port: asks first whether somebody else serves there, and then keeps silent."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import socket
from collections.abc import Callable
from typing import Final

from sitemanager.core.dhcp import MOST_PACKET_BYTES, DhcpServer, discover, offer_from
from sitemanager.exceptions import NetworkError
from sitemanager.host import times

SERVER_PORT: Final = 67
CLIENT_PORT: Final = 68
PROBE_S: Final = 1.5
"""For another server to answer: they are asked to within a second (RFC 2131 leaves it open; servers ping first)."""
PROBES: Final = 2
EVERYBODY: Final = "255.255.255.255"


async def other_server(interface: str) -> str | None:
    """Return the address of a DHCP server that answers on this interface, None if none does. Raises NetworkError."""
    xid = secrets.randbits(32)
    client = b"\x02" + secrets.token_bytes(5)
    loop = asyncio.get_running_loop()
    with _socket(interface, CLIENT_PORT) as probe:
        for _ in range(PROBES):
            with contextlib.suppress(OSError):
                await loop.sock_sendto(probe, discover(client, xid), (EVERYBODY, SERVER_PORT))
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(PROBE_S):
                    while True:
                        found = offer_from(await loop.sock_recv(probe, MOST_PACKET_BYTES + 1), xid)
                        if found is not None:
                            return str(found)
    return None


class DhcpService:
    """Serves until closed."""

    def __init__(self, interface: str, server: DhcpServer, report: Callable[[str], None]) -> None:
        self._server = server
        self._report = report
        self._loop = asyncio.get_running_loop()
        self._socket = _socket(interface, SERVER_PORT)
        self._loop.add_reader(self._socket, self._on_packet)

    def close(self) -> None:
        """Stop."""
        self._loop.remove_reader(self._socket)
        self._socket.close()

    def _on_packet(self) -> None:
        try:
            data, _ = self._socket.recvfrom(MOST_PACKET_BYTES + 1)
            reply = self._server.answer(data, times.steady_s())
            if reply is not None:
                to = EVERYBODY if reply.to is None else str(reply.to)
                self._socket.sendto(reply.data, (to, CLIENT_PORT))
        except BlockingIOError:
            return
        except OSError as error:
            self._report(f"DHCP: {error.strerror}")


def _socket(interface: str, port: int) -> socket.socket:
    found = socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK)
    try:
        found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        found.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
        found.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, interface.encode())
        found.bind(("", port))
    except OSError as error:
        found.close()
        hint = "; give the daemon CAP_NET_BIND_SERVICE" if isinstance(error, PermissionError) else ""
        raise NetworkError(f"cannot use DHCP's port {port} on {interface}: {error.strerror}{hint}") from None
    return found

"""Asks a name server through one interface, whatever the host's own resolver is set to."""

from __future__ import annotations

import asyncio
import secrets
import socket
from typing import Final

from sitemanager.core.name_answers import MOST_ANSWER_BYTES, addresses_in, question

PATIENCE_S: Final = 2.0
PORT: Final = 53


async def ask(server: str, interface: str, name: str) -> tuple[str, ...]:
    """Return the addresses that this server knows; none if it does not answer in time. Raises ValueError."""
    loop = asyncio.get_running_loop()
    asked = question(name, secrets.randbits(16))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC) as sock:
        try:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, interface.encode())
            # Connected: the kernel hands on what comes from there alone.
            sock.connect((server, PORT))
            async with asyncio.timeout(PATIENCE_S):
                await loop.sock_sendall(sock, asked)
                while True:
                    found = addresses_in(await loop.sock_recv(sock, MOST_ANSWER_BYTES + 1), asked)
                    if found is not None:
                        return found
        except (OSError, TimeoutError):
            return ()

"""Short TCP connections to devices: does it listen, does it speak Modbus."""

from __future__ import annotations

import asyncio
import errno
import socket
import struct
from typing import Final

from sitemanager.core.checks import Finding

_READ_ONE_REGISTER: Final = struct.Struct("!HHHBBHH").pack(0x676C, 0, 6, 1, 3, 0, 1)
"""Modbus TCP: unit 1, function 3, the first holding register: reading changes nothing, and refusing is an answer."""


async def check_tcp(address: str, port: int, timeout_s: float) -> Finding:
    """Connect and hang up."""
    sock, finding = await _connected(address, port, timeout_s)
    if sock is not None:
        sock.close()
    return finding


async def check_modbus(address: str, port: int, timeout_s: float) -> Finding:
    """Read one register; a Modbus exception is a sign of life as well."""
    sock, finding = await _connected(address, port, timeout_s)
    if sock is None:
        return finding
    loop = asyncio.get_running_loop()
    with sock:
        try:
            async with asyncio.timeout(timeout_s):
                await loop.sock_sendall(sock, _READ_ONE_REGISTER)
                answer = await loop.sock_recv(sock, 260)
        except (OSError, TimeoutError):
            return Finding(False, f"connects on port {port}, but does not answer Modbus")
    if len(answer) >= 9 and answer[:4] == _READ_ONE_REGISTER[:4] and answer[7] in (0x03, 0x83):
        return Finding(True, f"answers Modbus on port {port}")
    return Finding(False, f"connects on port {port}, but what it says is no Modbus")


async def _connected(address: str, port: int, timeout_s: float) -> tuple[socket.socket | None, Finding]:
    sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
    try:
        async with asyncio.timeout(timeout_s):
            await asyncio.get_running_loop().sock_connect(sock, (address, port))
    except TimeoutError:
        sock.close()
        return None, Finding(False, f"no answer on port {port} within {timeout_s:g} s")
    except OSError as error:
        sock.close()
        if error.errno == errno.ECONNREFUSED:
            return None, Finding(False, f"is there, but nothing listens on port {port}")
        if error.errno == errno.EHOSTUNREACH:
            return None, Finding(False, "nobody answers for this address (ARP)")
        return None, Finding(False, f"cannot be reached: {error.strerror}")
    except BaseException:
        sock.close()
        raise
    return sock, Finding(True, f"listens on port {port}")

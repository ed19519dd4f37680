"""What is on the way: captive portals, and the longest packet that gets through."""

from __future__ import annotations

import asyncio
import socket
from typing import Final

from sitemanager.core.diagnosis import Finding, Verdict, portal_finding
from sitemanager.exceptions import NetworkError
from sitemanager.host.probes.ping import ping

_HTTP_S: Final = 4.0
_PING_S: Final = 1.0
_SIZES: Final = (1500, 1492, 1472, 1450, 1420, 1400, 1350, 1280, 1200, 1000, 576)
"""IP packets: Ethernet, PPPoE, and what tunnels leave."""
_MAX_ANSWER_BYTES: Final = 8192


async def portal(address: str) -> tuple[Finding, ...]:
    """Ask port 80 as a browser would."""
    loop = asyncio.get_running_loop()
    answer = b""
    try:
        async with asyncio.timeout(_HTTP_S):
            (family, kind, protocol, _, target), *_ = await loop.getaddrinfo(address, 80, type=socket.SOCK_STREAM)
            with socket.socket(family, kind | socket.SOCK_NONBLOCK, protocol) as sock:
                await loop.sock_connect(sock, target)
                await loop.sock_sendall(
                    sock, f"GET / HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n".encode()
                )
                while b"\r\n\r\n" not in answer and len(answer) < _MAX_ANSWER_BYTES:
                    data = await loop.sock_recv(sock, 4096)
                    if not data:
                        break
                    answer += data
    except (OSError, TimeoutError):
        return ()
    finding = portal_finding(address, answer)
    return () if finding is None else (finding,)


async def longest_packet(address: str) -> tuple[Finding, ...]:
    """Ping the GateManager with packets that nobody may cut, until one gets through."""
    try:
        if await ping(address, _PING_S) is None:
            return (Finding("MTU", "unknown", "the GateManager's side answers no ping: packet sizes cannot be tried"),)
        for size in _SIZES:
            if await ping(address, _PING_S, size_bytes=size) is not None:
                break
        else:
            return (Finding("MTU", "unknown", "no longer packet is answered"),)
    except NetworkError as error:
        return (Finding("MTU", "unknown", str(error)),)
    if size >= _SIZES[0]:
        return (Finding("MTU", "good", f"packets of {size} bytes get through"),)
    verdict: Verdict = "warning" if size >= 1280 else "fault"
    step = "if connections hang: set the router's MTU, or let it clamp TCP's segment size (MSS)"
    return (Finding("MTU", verdict, f"packets longer than {size} bytes do not get through", step),)

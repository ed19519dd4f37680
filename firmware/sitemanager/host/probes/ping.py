"""One ICMP echo, by a socket that needs no rights where the kernel allows it, else by a raw one (CAP_NET_RAW)."""

from __future__ import annotations

import asyncio
import os
import socket
import struct
import time
from typing import Final

from sitemanager.exceptions import NetworkError

_ECHO_REQUEST, _ECHO_REPLY = 8, 0
_HEADER: Final = struct.Struct("!BBHHH")
_PAYLOAD: Final = b"gatelink"
_IP_HEADER_BYTES: Final = 20
_IP_MTU_DISCOVER, _PMTUDISC_PROBE = 10, 3
"""ip(7): set DF, and do not look at the path's MTU as it is known."""


async def ping(address: str, timeout_s: float, size_bytes: int = 0) -> float | None:
    """Return after how many seconds the answer came; None if none did. Raises NetworkError without the rights.

    ``size_bytes`` is that of the IP packet; with it nobody on the way may cut the packet (DF), whatever was learned.
    """
    sock, raw = _socket()
    loop = asyncio.get_running_loop()
    number = int.from_bytes(os.urandom(2), "big")
    identifier = int.from_bytes(os.urandom(2), "big")
    with sock:
        began = time.monotonic()
        try:
            if size_bytes:
                sock.setsockopt(socket.IPPROTO_IP, _IP_MTU_DISCOVER, _PMTUDISC_PROBE)
            request = _request(identifier, number, max(0, size_bytes - _IP_HEADER_BYTES - _HEADER.size))
            await loop.sock_sendto(sock, request, (address, 0))
            async with asyncio.timeout(timeout_s):
                while True:
                    data, (source, *_) = await loop.sock_recvfrom(sock, 2048)
                    if source == address and _is_answer(data, raw, identifier, number):
                        return time.monotonic() - began
        except (OSError, TimeoutError):
            return None


def _socket() -> tuple[socket.socket, bool]:
    for kind, raw in ((socket.SOCK_DGRAM, False), (socket.SOCK_RAW, True)):
        try:
            return socket.socket(socket.AF_INET, kind | socket.SOCK_NONBLOCK, socket.IPPROTO_ICMP), raw
        except PermissionError:
            continue
        except OSError as error:
            raise NetworkError(f"cannot ping: {error.strerror}") from None
    raise NetworkError("no right to ping: CAP_NET_RAW is needed, or the daemon's group in net.ipv4.ping_group_range")


def _request(identifier: int, number: int, payload_bytes: int) -> bytes:
    payload = _PAYLOAD.ljust(payload_bytes + payload_bytes % 2, b".")
    bare = _HEADER.pack(_ECHO_REQUEST, 0, 0, identifier, number) + payload
    total = sum(struct.unpack(f"!{len(bare) // 2}H", bare))
    total = (total & 0xFFFF) + (total >> 16)
    return _HEADER.pack(_ECHO_REQUEST, 0, ~(total + (total >> 16)) & 0xFFFF, identifier, number) + payload


def _is_answer(data: bytes, raw: bool, identifier: int, number: int) -> bool:
    # A raw socket shows the IP header; an ordinary one has its own identifier and shows only its own answers.
    start = (data[0] & 15) * 4 if raw and data else 0
    if len(data) < start + _HEADER.size:
        return False
    kind, _, _, seen_identifier, seen_number = _HEADER.unpack_from(data, start)
    return kind == _ECHO_REPLY and seen_number == number and (not raw or seen_identifier == identifier)

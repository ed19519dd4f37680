"""Looks at the first bytes of a connection without consuming them. Parses what strangers send.

While bytes are missing the kernel is told (``SO_RCVLOWAT``) to wake us only when there are more than we have seen:
bytes that stay in the queue would otherwise wake a level-triggered loop again and again.
"""

from __future__ import annotations

import asyncio
import socket
from typing import Literal

from gatelink.exceptions import HelloError
from gatelink.hello import ClientHello, looks_like_tls, parse_client_hello
from gatelink.wire import MAX_HELLO_BYTES


async def first_bytes(connection: socket.socket) -> ClientHello | Literal["http"]:
    """Return the ClientHello, or that plain HTTP may follow; nothing is consumed.

    Raises HelloError for anything else, OSError when the connection breaks. The caller bounds the time.
    """
    seen_bytes = 0
    while True:
        await _readable(connection)
        try:
            data = connection.recv(MAX_HELLO_BYTES, socket.MSG_PEEK)
        except BlockingIOError:
            continue
        if len(data) <= seen_bytes:
            raise HelloError(f"the connection was closed after {seen_bytes} bytes, before it said what it wants")
        if not looks_like_tls(data):
            if data[:1].isalpha() and data[:1].isupper():
                return "http"
            raise HelloError("expected TLS or HTTP, got something else")
        hello = parse_client_hello(data)
        if hello is not None:
            if seen_bytes:
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, 1)
            return hello
        seen_bytes = len(data)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, seen_bytes + 1)


async def _readable(connection: socket.socket) -> None:
    loop = asyncio.get_running_loop()
    future: asyncio.Future[None] = loop.create_future()
    descriptor = connection.fileno()
    loop.add_reader(descriptor, lambda: None if future.done() else future.set_result(None))
    try:
        await future
    finally:
        loop.remove_reader(descriptor)

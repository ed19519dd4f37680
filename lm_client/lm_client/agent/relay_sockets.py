"""Sockets of permanent relays: those towards the tunnel never leave by another interface, whatever the routes say."""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Callable
from typing import Final

from gatelink.exceptions import LinkError

BACKLOG: Final = 16
CONNECT_TIMEOUT_S: Final = 15.0
_KEEPALIVE: Final = (("TCP_KEEPIDLE", 120), ("TCP_KEEPINTVL", 30), ("TCP_KEEPCNT", 20))
"""An idle connection outlives an outage for which its session can be resumed (10 minutes), and not much more."""
BindToInterface = Callable[[socket.socket, str], None]


def bind_to_interface(made: socket.socket, interface: str) -> None:
    """Let a socket use this interface alone. Needs no rights (Linux 5.7). Raises OSError."""
    made.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, interface.encode() + b"\0")


def listening(address: str, port: int, interface: str = "", bind: BindToInterface = bind_to_interface) -> socket.socket:
    """Return a listening socket. Raises LinkError that says what is in the way."""
    made = socket.socket(_family(address), socket.SOCK_STREAM)
    try:
        made.setblocking(False)
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if interface:
            bind(made, interface)
        made.bind((address, port))
        made.listen(BACKLOG)
    except OSError as error:
        made.close()
        raise LinkError(f"cannot listen on {address}:{port}: {error.strerror}") from None
    return made


def unconnected(address: str, interface: str = "", bind: BindToInterface = bind_to_interface) -> socket.socket:
    """Return a socket to connect to ``address``. Raises OSError."""
    made = socket.socket(_family(address), socket.SOCK_STREAM)
    try:
        made.setblocking(False)
        if interface:
            bind(made, interface)
    except OSError:
        made.close()
        raise
    return made


def keep_alive(made: socket.socket) -> None:
    """Notice, at some time, a peer that is gone without a word; send what there is at once."""
    made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in _KEEPALIVE:
        made.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)


def _family(address: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ipaddress.ip_address(address).version == 6 else socket.AF_INET

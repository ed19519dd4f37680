"""The TCP options of every leg of a session, at both of its ends: the one place where they are set.

Frames must not wait (TCP_NODELAY), must not queue where nobody can drop them (TCP_NOTSENT_LOWAT), and a line that died
without a word must end the session (keepalive for an idle leg, TCP_USER_TIMEOUT for one with bytes under way).
"""

from __future__ import annotations

import socket
from typing import Final

from gatelink.wire import KEEPALIVE_S, MISSED_KEEPALIVES

NOT_SENT_BYTES: Final = 32 * 1024
"""Bytes that the kernel holds beyond what is under way (docs/decisions/0011): two TLS records."""
# <linux/tcp.h>; the socket module does not have it on every platform.
_TCP_NOTSENT_LOWAT: Final = getattr(socket, "TCP_NOTSENT_LOWAT", 25)


def apply_leg_options(
    leg: socket.socket, *, keepalive_s: float = KEEPALIVE_S, not_sent_bytes: int | None = NOT_SENT_BYTES
) -> None:
    """Set all of them. ``leg`` may be an SSLSocket; what is no TCP socket (a socketpair in a test) is left as it is.

    A dead line is known after ``MISSED_KEEPALIVES`` + 1 times ``keepalive_s`` at the latest.
    """
    if leg.family not in (socket.AF_INET, socket.AF_INET6):
        return
    interval_s = max(1, round(keepalive_s))
    options = [
        (socket.IPPROTO_TCP, "TCP_NODELAY", 1),
        (socket.SOL_SOCKET, "SO_KEEPALIVE", 1),
        (socket.IPPROTO_TCP, "TCP_KEEPIDLE", interval_s),
        (socket.IPPROTO_TCP, "TCP_KEEPINTVL", max(1, interval_s // 2)),
        (socket.IPPROTO_TCP, "TCP_KEEPCNT", 2 * MISSED_KEEPALIVES),
        (socket.IPPROTO_TCP, "TCP_USER_TIMEOUT", round((MISSED_KEEPALIVES + 1) * keepalive_s * 1000)),
    ]
    for level, name, value in options:
        # TCP_USER_TIMEOUT is Linux's alone.
        number = getattr(socket, name, None)
        if number is not None:
            leg.setsockopt(level, number, value)
    if not_sent_bytes is not None and hasattr(socket, "TCP_USER_TIMEOUT"):
        leg.setsockopt(socket.IPPROTO_TCP, _TCP_NOTSENT_LOWAT, not_sent_bytes)

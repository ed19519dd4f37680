"""The TCP options of every leg of a session, at both of its ends: the one place where they are set.

Frames must not wait (TCP_NODELAY), must not queue where nobody can drop them (TCP_NOTSENT_LOWAT), and a line that died
without a word must end the session (keepalive for an idle leg, TCP_USER_TIMEOUT for one with bytes under way). BBR
keeps a slow uplink's own queue short, and does not take every lost packet of a cellular line for a full one.
"""

from __future__ import annotations

import contextlib
import socket
import sys
from typing import Final

from gatelink.wire import KEEPALIVE_S, MISSED_KEEPALIVES

_TCP_FAMILIES: Final = (socket.AF_INET, socket.AF_INET6)
_NOT_SENT_BYTES: Final = 32 * 1024
_NOT_SENT_SLOW_BYTES: Final = 4 * 1024
"""What the kernel may hold beyond what is under way; on a slow line less (docs/decisions/0012)."""
# <asm-generic/socket.h>
_SO_BUF_LOCK: Final = 72
_RTT_OFFSET: Final = 68
"""Of ``tcpi_rtt``, microseconds, in ``struct tcp_info``."""
# <linux/tcp.h>; the socket module does not have it on every platform.
_TCP_NOTSENT_LOWAT: Final = getattr(socket, "TCP_NOTSENT_LOWAT", 25)


def apply_leg_options(leg: socket.socket, *, keepalive_s: float = KEEPALIVE_S) -> None:
    """Set all of them. ``leg`` may be an SSLSocket; what is no TCP socket (a socketpair in a test) is left as it is.

    A dead line is known after ``MISSED_KEEPALIVES`` + 1 times ``keepalive_s`` at the latest.
    """
    if leg.family not in _TCP_FAMILIES:
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
    if sys.platform == "linux":
        # Where the kernel lacks BBR or forbids it (net.ipv4.tcp_allowed_congestion_control), its default does.
        with contextlib.suppress(OSError):
            leg.setsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, b"bbr")
    limit_not_sent(leg, slow=False)


def limit_not_sent(leg: socket.socket, *, slow: bool) -> None:
    """Bound what waits in the kernel behind the bytes that are under way."""
    if sys.platform == "linux" and leg.family in _TCP_FAMILIES:
        value = _NOT_SENT_SLOW_BYTES if slow else _NOT_SENT_BYTES
        leg.setsockopt(socket.IPPROTO_TCP, _TCP_NOTSENT_LOWAT, value)


def limit_received(leg: socket.socket, size_bytes: int | None) -> None:
    """Bound what may wait in the kernel until it is read; None: as much as the kernel thinks fit. Linux, TCP only.

    TCP_WINDOW_CLAMP would not do: it bounds the window that is offered beyond what waits already. Below two segments
    (64 KiB each on loopback) TCP would crawl.
    """
    if sys.platform != "linux" or leg.family not in _TCP_FAMILIES:
        return
    if size_bytes is not None:
        segment_bytes = leg.getsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG)
        # The kernel doubles the value for its own book-keeping, which is little for the big segments of a busy leg.
        leg.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, max(size_bytes, 2 * segment_bytes) * 5 // 8)
    else:
        with contextlib.suppress(OSError):  # before Linux 5.14 the bound stays
            leg.setsockopt(socket.SOL_SOCKET, _SO_BUF_LOCK, 0)


def round_trip_s(leg: socket.socket) -> float:
    """The kernel's estimate of the round trip of this leg, in seconds; 0 if it has none."""
    if sys.platform != "linux" or leg.family not in _TCP_FAMILIES:
        return 0.0
    info = leg.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _RTT_OFFSET + 4)
    return int.from_bytes(info[_RTT_OFFSET:], sys.byteorder) / 1e6

"""Program: takes frames off either of two wires and puts them on the other after a fixed time, in order.

Usage: delay.py WIRE WIRE MILLISECONDS READY_FD. SIGTERM: takes no more frames, hands out what it holds, ends.

Frames keep the kernel's offload description (PACKET_VNET_HDR), so that one read may return 64 KiB of TCP that was never
cut into packets, and nothing is too long for the other wire. It knows nothing of the rest of the lab: it starts quickly.
"""

from __future__ import annotations

import errno
import os
import select
import signal
import socket
import sys
import time
from collections import deque

_ETH_P_ALL = 0x0003
_SOL_PACKET = 263
_PACKET_VNET_HDR = 15
_PACKET_IGNORE_OUTGOING = 23
_SO_RCVBUFFORCE = 33
_FRAME_BYTES = 10 + 14 + 65536 + 64
_WIRE_BUFFER_BYTES = 16 << 20
# What a line of 10 Gbit/s holds in 10 ms; beyond it frames are lost, as they are in a router.
_HELD_BYTES = 256 << 20

Held = deque[tuple[float, bytes]]


def main() -> None:
    """Run until SIGTERM."""
    name_a, name_b, delay_ms, ready_fd = sys.argv[1:]
    delay_s = float(delay_ms) / 1000
    a, b = _open(name_a), _open(name_b)
    stop_reader, stop_writer = os.pipe()
    os.set_blocking(stop_writer, False)
    signal.set_wakeup_fd(stop_writer)
    signal.signal(signal.SIGTERM, lambda *_: None)
    os.write(int(ready_fd), b"!")
    os.close(int(ready_fd))

    ways: list[tuple[socket.socket, socket.socket, Held]] = [(a, b, deque()), (b, a, deque())]
    sources: list[socket.socket | int] = [a, b, stop_reader]
    while True:
        due = min((held[0][0] for _, _, held in ways if held), default=None)
        if due is None and not sources:
            return
        timeout_s = None if due is None else max(0.0, due - time.monotonic())
        if stop_reader in select.select(sources, [], [], timeout_s)[0]:
            sources = []
        for source, target, held in ways:
            if sources:
                _take(source, held, delay_s)
            _hand_out(target, held)


def _open(name: str) -> socket.socket:
    wire = socket.socket(socket.AF_PACKET, socket.SOCK_RAW | socket.SOCK_NONBLOCK, 0)
    wire.setsockopt(_SOL_PACKET, _PACKET_VNET_HDR, 1)
    wire.setsockopt(_SOL_PACKET, _PACKET_IGNORE_OUTGOING, 1)
    for option in (_SO_RCVBUFFORCE, socket.SO_SNDBUF):
        try:
            wire.setsockopt(socket.SOL_SOCKET, option, _WIRE_BUFFER_BYTES)
        except PermissionError:  # an ordinary user's namespace: as much as the machine allows everybody
            wire.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _WIRE_BUFFER_BYTES)
    wire.bind((name, _ETH_P_ALL))
    return wire


def _take(source: socket.socket, held: Held, delay_s: float) -> None:
    """Read what has come, at most 64 frames so that the other direction gets its turn."""
    for _ in range(64):
        try:
            frame = source.recv(_FRAME_BYTES)
        except BlockingIOError:
            return
        except OSError as error:
            if error.errno == errno.ENETDOWN:  # unplugged; said once, frames come again when it is plugged in
                return
            raise
        held.append((time.monotonic() + delay_s, frame))


def _hand_out(target: socket.socket, held: Held) -> None:
    now = time.monotonic()
    while held and held[0][0] <= now:
        frame = held.popleft()[1]
        try:
            target.send(frame)
        except OSError as error:
            # A full queue, a cut or an unplugged line: the frame is lost, as on a real one.
            if error.errno not in (errno.ENOBUFS, errno.EAGAIN, errno.ENETDOWN, errno.ENXIO):
                raise


if __name__ == "__main__":
    main()

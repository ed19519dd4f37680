"""Program: takes frames off either of two wires and puts them on the other after a fixed time, in order.

Usage: delay.py WIRE WIRE MILLISECONDS READY_FD. SIGTERM: takes no more frames, hands out what it holds, ends.

Frames keep the kernel's offload description (PACKET_VNET_HDR), so that one read may return 64 KiB of TCP that was never
cut into packets, and nothing is too long for the other wire. It imports nothing of the lab, so that it starts quickly.
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
_SO_SNDBUFFORCE = 32
_SO_RCVBUFFORCE = 33
_FRAME_BYTES = 10 + 14 + 65536 + 64
_WIRE_BUFFER_BYTES = 16 << 20
# Held for each direction: 100 Mbit/s for 10 s, or 1 Gbit/s for 1 s. Beyond it frames are lost, as in a router.
_HELD_BYTES = 128 << 20


class Way:
    """One direction: what was taken from `source` and waits to be put on `target`."""

    def __init__(self, source: socket.socket, target: socket.socket, delay_s: float) -> None:
        self._source = source
        self._target = target
        self._delay_s = delay_s
        self._held: deque[tuple[float, bytes]] = deque()
        self._held_bytes = 0

    def due(self) -> float | None:
        """When the next frame is to go out, None if there is none."""
        return self._held[0][0] if self._held else None

    def take(self) -> None:
        """Read what has come, at most 64 frames so that the other direction gets its turn."""
        for _ in range(64):
            try:
                frame = self._source.recv(_FRAME_BYTES)
            except BlockingIOError:
                return
            except OSError as error:
                if error.errno == errno.ENETDOWN:  # unplugged; said once, frames come again when it is plugged in
                    return
                raise
            if self._held_bytes + len(frame) <= _HELD_BYTES:
                self._held.append((time.monotonic() + self._delay_s, frame))
                self._held_bytes += len(frame)

    def hand_out(self) -> None:
        """Put on the target what is due."""
        now = time.monotonic()
        while self._held and self._held[0][0] <= now:
            frame = self._held.popleft()[1]
            self._held_bytes -= len(frame)
            try:
                self._target.send(frame)
            except OSError as error:
                # A full queue, a cut or an unplugged line: the frame is lost, as on a real one.
                if error.errno not in (errno.ENOBUFS, errno.EAGAIN, errno.ENETDOWN, errno.ENXIO):
                    raise


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

    ways = (Way(a, b, delay_s), Way(b, a, delay_s))
    sources: list[socket.socket | int] = [a, b, stop_reader]
    while True:
        due = min((way_due for way in ways if (way_due := way.due()) is not None), default=None)
        if due is None and not sources:
            return
        timeout_s = None if due is None else max(0.0, due - time.monotonic())
        if stop_reader in select.select(sources, [], [], timeout_s)[0]:
            sources = []
        for way in ways:
            if sources:
                way.take()
            way.hand_out()


def _open(name: str) -> socket.socket:
    wire = socket.socket(socket.AF_PACKET, socket.SOCK_RAW | socket.SOCK_NONBLOCK, 0)
    wire.setsockopt(_SOL_PACKET, _PACKET_VNET_HDR, 1)
    wire.setsockopt(_SOL_PACKET, _PACKET_IGNORE_OUTGOING, 1)
    for forced, asked in ((_SO_RCVBUFFORCE, socket.SO_RCVBUF), (_SO_SNDBUFFORCE, socket.SO_SNDBUF)):
        try:
            wire.setsockopt(socket.SOL_SOCKET, forced, _WIRE_BUFFER_BYTES)
        except PermissionError:  # an ordinary user's namespace: as much as the machine allows everybody
            wire.setsockopt(socket.SOL_SOCKET, asked, _WIRE_BUFFER_BYTES)
    wire.bind((name, _ETH_P_ALL))
    return wire


if __name__ == "__main__":
    main()

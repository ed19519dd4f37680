"""Program: the cable between the emulated gateway's serial port (a socket) and a simulated device (a pty).

Usage: python -m qemu.serial_cable SOCKET PTY; says "plugged in", and goes on until the emulator ends.
"""

from __future__ import annotations

import os
import select
import socket
import sys
import tty

_PIECE_BYTES = 4096


def main(path: str, pty: str) -> int:
    """Carry bytes both ways."""
    line = os.open(pty, os.O_RDWR | os.O_NOCTTY)
    tty.setraw(line)
    with socket.socket(socket.AF_UNIX) as port:
        port.connect(path)
        sys.stdout.write("plugged in\n")
        sys.stdout.flush()
        while True:
            ready, _, _ = select.select([port.fileno(), line], [], [])
            if port.fileno() in ready:
                data = port.recv(_PIECE_BYTES)
                if not data:
                    return 0
                os.write(line, data)
            if line in ready:
                port.sendall(os.read(line, _PIECE_BYTES))


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))

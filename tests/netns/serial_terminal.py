"""Program: a terminal on a raw serial port: reads numbered lines for ever, writes one of its own every 100 ms.

    python -m netns.serial_terminal ADDRESS PORT

Says "read N" for each line that came in order, "gap A B" where one is missing, "lost" when the connection ends.
"""

from __future__ import annotations

import socket
import sys
import threading
import time


def _write(connection: socket.socket) -> None:
    for number in range(10**6):
        connection.sendall(b"pc%06d\n" % number)
        time.sleep(0.1)


def main(address: str, port: str) -> None:
    """Read until the connection ends."""
    connection = socket.create_connection((address, int(port)), 10)
    connection.settimeout(None)
    threading.Thread(target=_write, args=(connection,), daemon=True).start()
    expected: int | None = None
    with connection.makefile("rb") as lines:
        for line in lines:
            number = int(line)
            if expected is not None and number != expected:
                sys.stdout.write(f"gap {expected} {number}\n")
            expected = number + 1
            sys.stdout.write(f"read {number}\n")
            sys.stdout.flush()
    sys.stdout.write("lost\n")


if __name__ == "__main__":
    main(*sys.argv[1:])

"""Program: an ordinary Modbus TCP client that reads one register again and again over one connection.

    python -P -m netns.link_poller [--address 192.168.50.10] [--port 502] [--period 0.05] [--patience 3]

One line a poll: "answered 1234.567890" (monotonic seconds, the same clock for every process of a machine). It never
connects anew: what the tunnel does to an open connection is what it is there to show. The last line says why it ended:
"lost 1240.1 silent", "lost 1240.1 Connection reset by peer".
"""

from __future__ import annotations

import argparse
import socket
import struct
import sys
import time

_REQUEST = struct.Struct("!HHHBBHH")
_ANSWER_BYTES = 11


def main() -> int:
    """Poll until the connection is lost."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--address", default="192.168.50.10")
    parser.add_argument("--port", type=int, default=502)
    parser.add_argument("--period", type=float, default=0.05)
    parser.add_argument("--patience", type=float, default=3.0)
    options = parser.parse_args()
    try:
        with socket.create_connection((options.address, options.port), options.patience) as connection:
            for number in range(1 << 32):
                _poll(connection, number % 65536)
                _say(f"answered {time.monotonic():.6f}")
                time.sleep(options.period)
    except TimeoutError:
        _say(f"lost {time.monotonic():.6f} silent")
    except OSError as error:
        _say(f"lost {time.monotonic():.6f} {error.strerror or error}")
    return 1


def _poll(connection: socket.socket, number: int) -> None:
    connection.sendall(_REQUEST.pack(number, 0, 6, 1, 3, 0, 1))
    answer = b""
    while len(answer) < _ANSWER_BYTES:
        data = connection.recv(_ANSWER_BYTES - len(answer))
        if not data:
            raise OSError(0, "closed by the PLC")
        answer += data
    if answer[:2] != number.to_bytes(2, "big"):
        raise OSError(0, "the answer is to another request")


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())

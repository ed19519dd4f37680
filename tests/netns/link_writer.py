"""Program: writes a text of 20 characters to the PLC's registers 10 to 19 and reads it back, by Modbus TCP.

    python -P -m netns.link_writer TEXT [--address 192.168.50.10] [--port 502]

It makes its requests itself, so that a test knows every byte of them (`write_request`, `read_request`).
"""

from __future__ import annotations

import argparse
import socket
import struct
import sys

FIRST_REGISTER = 10
REGISTERS = 10
_TIMEOUT_S = 10.0


def write_request(text: str) -> bytes:
    """The request (MBAP header, function 16) that writes the text."""
    data = text.encode()
    body = struct.pack("!BBHHB", 1, 16, FIRST_REGISTER, REGISTERS, len(data)) + data
    return struct.pack("!HHH", 0x4711, 0, len(body)) + body


def read_request() -> bytes:
    """The request (function 3) that reads it back."""
    return struct.pack("!HHHBBHH", 0x4712, 0, 6, 1, 3, FIRST_REGISTER, REGISTERS)


def main() -> None:
    """Write, read, say what was read."""
    parser = argparse.ArgumentParser()
    parser.add_argument("text")
    parser.add_argument("--address", default="192.168.50.10")
    parser.add_argument("--port", type=int, default=502)
    options = parser.parse_args()
    with socket.create_connection((options.address, options.port), _TIMEOUT_S) as connection:
        connection.sendall(write_request(options.text))
        _receive(connection, 12)
        connection.sendall(read_request())
        answer = _receive(connection, 9 + 2 * REGISTERS)
    sys.stdout.write(f"{answer[9:].decode()}\n")


def _receive(connection: socket.socket, size_bytes: int) -> bytes:
    answer = b""
    while len(answer) < size_bytes:
        data = connection.recv(size_bytes - len(answer))
        if not data:
            raise ConnectionError("the PLC closed the connection")
        answer += data
    return answer


if __name__ == "__main__":
    main()

"""Program: how many Modbus requests a second one connection gets answered, and the PLC that answers them.

Usage: python -m bench.modbus_rate serve ADDRESS PORT | ask ADDRESS PORT SECONDS

Bare sockets on both sides, no Modbus library: what is measured is the way between them. Each request reads ten holding
registers; the next goes out when the answer has come.
"""

from __future__ import annotations

import socket
import struct
import sys
import time

_REQUEST = struct.Struct("!HHHBBHH")
_REGISTERS = 10


def serve(address: str, port: int) -> None:
    """Answer one connection after another."""
    with socket.create_server((address, port)) as listener:
        sys.stdout.write("PLC listens\n")
        sys.stdout.flush()
        while True:
            connection, _ = listener.accept()
            with connection:
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                while request := connection.recv(_REQUEST.size):
                    number, _protocol, _size, unit, function, _first, count = _REQUEST.unpack(request)
                    head = struct.pack("!HHHBBB", number, 0, 3 + 2 * count, unit, function, 2 * count)
                    connection.sendall(head + bytes(2 * count))


def ask(address: str, port: int, seconds: float) -> float:
    """Return the answers a second."""
    answers = 0
    answer_bytes = 9 + 2 * _REGISTERS
    with socket.create_connection((address, port), timeout=5) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        begin = time.perf_counter()
        while time.perf_counter() - begin < seconds:
            connection.sendall(_REQUEST.pack(answers & 0xFFFF, 0, 6, 1, 3, 0, _REGISTERS))
            if len(connection.recv(answer_bytes)) != answer_bytes:
                raise ConnectionError("the PLC sent half an answer")
            answers += 1
        return answers / (time.perf_counter() - begin)


def main() -> None:
    """Run the role that the arguments name."""
    role, address, port, *rest = sys.argv[1:]
    if role == "serve":
        serve(address, int(port))
    else:
        sys.stdout.write(f"{ask(address, int(port), float(rest[0])):.1f}\n")


if __name__ == "__main__":
    main()

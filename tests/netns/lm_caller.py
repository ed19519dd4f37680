"""Program: a caller of the service with rights. Says what it was answered, then holds on until it is killed.

    python3 lm_caller.py SOCKET PAYLOAD...    each a request in hexadecimal (or `-`: only wait for an answer)
    options in front: --deaf holds on to the adapter although the service is gone, --persist makes the adapter stay

It needs nothing but Python itself, so that any user can run it wherever the tree is, and it knows nothing of the
LinkManager's own client, so that it can ask what that never would. A line an answer: its payload in hexadecimal and how
many descriptors came with it.
"""

from __future__ import annotations

import fcntl
import signal
import socket
import struct
import sys

_TUNSETPERSIST = 0x400454CB


def main(arguments: list[str]) -> None:
    """Ask, say, hold on."""
    options = {word for word in arguments if word.startswith("--")}
    path, *requests = (word for word in arguments if not word.startswith("--"))
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    connection.connect(path)
    descriptors: list[int] = []
    for request in requests:
        if request != "-":
            payload = bytes.fromhex(request)
            connection.sendall(struct.pack("!I", len(payload)) + payload)
        data, received, _, _ = socket.recv_fds(connection, 65536, 4)
        descriptors += received
        sys.stdout.write(f"answer {data[4:].hex()} {len(received)}\n")
        sys.stdout.flush()
    if "--persist" in options:
        fcntl.ioctl(descriptors[0], _TUNSETPERSIST, 1)
    sys.stdout.write("holding on\n")
    sys.stdout.flush()
    if "--deaf" not in options:
        connection.recv(1)
        sys.exit(0)
    signal.pause()


if __name__ == "__main__":
    main(sys.argv[1:])

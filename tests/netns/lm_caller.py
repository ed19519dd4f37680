"""Program: a caller of the service with rights. Says what it was answered, then holds on until it is killed.

    python -P -m netns.lm_caller SOCKET REQUEST...    each a JSON list of the request's name and its fields
    options in front: --deaf holds on to the adapter although the service is gone, --persist makes the adapter stay

It knows nothing of the LinkManager's own client, so that it can ask what that never would.
"""

from __future__ import annotations

import fcntl
import json
import signal
import socket
import struct
import sys

import msgspec

_TUNSETPERSIST = 0x400454CB


def main(arguments: list[str]) -> None:
    """Ask, say, hold on."""
    options = {word for word in arguments if word.startswith("--")}
    path, *requests = (word for word in arguments if not word.startswith("--"))
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    connection.connect(path)
    descriptors: list[int] = []
    for request in requests or ["null"]:
        if (word := json.loads(request)) is not None:
            payload = bytes.fromhex(word) if isinstance(word, str) else msgspec.msgpack.encode(word)
            connection.sendall(struct.pack("!I", len(payload)) + payload)
        data, received, _, _ = socket.recv_fds(connection, 65536, 4)
        descriptors += received
        answer = msgspec.msgpack.decode(data[4:]) if data else {"type": "end"}
        sys.stdout.write(f"{json.dumps({**answer, 'descriptors': len(received)})}\n")
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

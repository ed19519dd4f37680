"""Program: the relay behind a listening port. Usage: python -m bench.relay_front PORT HOST HOST_PORT.

Every connection to PORT is joined with a new one to HOST, so that the relay can be measured as HAProxy is.
"""

from __future__ import annotations

import asyncio
import socket
import sys

from gm_server.relay.pool import RelayPool


async def serve(port: int, host: str, host_port: int) -> None:
    """Join until killed."""
    pool = await RelayPool(1).start()
    loop = asyncio.get_running_loop()
    with socket.create_server(("0.0.0.0", port), backlog=128) as listener:
        listener.setblocking(False)
        sys.stdout.write("relay listens\n")
        sys.stdout.flush()
        number = 0
        while True:
            first, _ = await loop.sock_accept(listener)
            second = socket.create_connection((host, host_port), timeout=10)
            number += 1
            await pool.join(f"s{number}", first, second)


def main() -> None:
    """Run with the arguments."""
    asyncio.run(serve(int(sys.argv[1]), sys.argv[2], int(sys.argv[3])))


if __name__ == "__main__":
    main()

"""Which TCP ports of an address accept a connection, asked from a place of the lab."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import Final

from lab.places import Place

EVERY: Final = range(1, 65536)
_SCAN: Final = """
import asyncio, resource, sys
address = sys.argv[1]
resource.setrlimit(resource.RLIMIT_NOFILE, (4096, 4096))
async def scan():
    found, ports = [], iter(sys.stdin.read().split())
    async def worker():
        for port in ports:
            try:
                async with asyncio.timeout(2.5):
                    _, writer = await asyncio.open_connection(address, int(port))
            except (OSError, TimeoutError):
                continue
            found.append(int(port))
            writer.close()
    async with asyncio.TaskGroup() as group:
        for _ in range(2000):
            group.create_task(worker())
    print(*sorted(found))
asyncio.run(scan())
"""


def open_ports(place: Place, address: str, ports: Iterable[int]) -> list[int]:
    """The TCP ports that accept a connection."""
    asked = " ".join(map(str, ports))
    done = place.run([sys.executable, "-c", _SCAN, address], stdin_text=asked, timeout_s=1200)
    return [int(word) for word in done.stdout.split()]

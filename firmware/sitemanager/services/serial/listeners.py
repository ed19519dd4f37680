"""TCP listeners on virtual addresses that exist only while a session does, and are reached from sessions alone."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable
from typing import Final

from sitemanager.core.serial_settings import Offer

_IP_FREEBIND: Final = 15
_BACKLOG: Final = 16
Serve = Callable[[Offer, asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


class Listeners:
    """One for each offer."""

    def __init__(self, serve: Serve, report: Callable[[str], None]) -> None:
        self._serve = serve
        self._report = report
        self._servers: dict[Offer, asyncio.Task[asyncio.Server]] = {}

    def use(self, offers: frozenset[Offer]) -> None:
        """Listen for exactly these. From the return on the kernel takes connections."""
        for offer in self._servers.keys() - offers:
            self._stop(offer)
        for offer in offers - self._servers.keys():
            try:
                listener = _listen(offer)
            except OSError as error:
                self._report(f"serial port {offer.serial_port}: cannot listen on {offer.address}: {error.strerror}")
                continue
            self._servers[offer] = asyncio.create_task(asyncio.start_server(self._handler(offer), sock=listener))

    async def close(self) -> None:
        """Listen for nothing."""
        tasks = list(self._servers.values())
        self.use(frozenset())
        await asyncio.gather(*tasks, return_exceptions=True)

    def _handler(self, offer: Offer) -> Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]:
        async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await self._serve(offer, reader, writer)

        return handle

    def _stop(self, offer: Offer) -> None:
        task = self._servers.pop(offer)
        if task.done():
            task.result().close()  # at once: the next who listens there may be a moment away
        else:
            task.add_done_callback(lambda done: done.result().close())


def _listen(offer: Offer) -> socket.socket:
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.setsockopt(socket.IPPROTO_IP, _IP_FREEBIND, 1)
        listener.bind((offer.address, offer.port))
        listener.listen(_BACKLOG)
    except BaseException:
        listener.close()
        raise
    return listener

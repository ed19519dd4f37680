"""Looks after the network of sessions whenever the kernel says that somebody changed something."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

from sitemanager.host.network.events import NetworkEvents

from .network_state import NetworkState

REST_S: Final = 0.5
"""Between two looks: a host whose firewall changes all the time must not keep us busy."""


class Watch:
    """Runs until closed; costs nothing while nothing changes."""

    def __init__(self, network: NetworkState, report: Callable[[str], None]) -> None:
        self._network = network
        self._loop = asyncio.get_running_loop()
        self._look: asyncio.Task[None] | None = None
        self._again = False
        self._events: NetworkEvents | None = None
        try:
            self._events = NetworkEvents()
        except OSError as error:
            report(f"cannot hear of changes by others to the network: {error.strerror}")
            return
        for listener in self._events.sockets:
            self._loop.add_reader(listener, self._on_event)

    def close(self) -> None:
        """End it."""
        if self._events is not None:
            for listener in self._events.sockets:
                self._loop.remove_reader(listener)
            self._events.close()
        if self._look is not None:
            self._look.cancel()

    def _on_event(self) -> None:
        if self._events is not None:
            self._events.drain()
        self._again = True
        if self._look is None:
            self._look = asyncio.ensure_future(self._look_after())
            self._look.add_done_callback(self._looked)

    async def _look_after(self) -> None:
        while self._again:
            self._again = False
            await self._network.verify()
            await asyncio.sleep(REST_S)

    def _looked(self, _: object) -> None:
        self._look = None

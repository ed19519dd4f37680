"""Scans of a device network: asked of a connected appliance, answered in parts. One at a time for each appliance."""

from __future__ import annotations

import asyncio
from typing import Final

from gatelink.exceptions import Refused
from gatelink.messages import FoundDevice, Scan, ScanResult

from .appliance_peer import AppliancePeer

DEADLINE_S: Final = 120.0
MAX_FOUND: Final = 4096
"""Devices in one answer. A security limit."""


class Scans:
    """Those that run."""

    def __init__(self, deadline_s: float = DEADLINE_S) -> None:
        self._deadline_s = deadline_s
        self._running: dict[str, _Running] = {}
        self._numbers = 0

    async def scan(self, peer: AppliancePeer) -> tuple[FoundDevice, ...]:
        """Return what an appliance finds. Raises Refused: it scans already, cannot, or did not answer in time."""
        if peer.appliance_id in self._running:
            raise Refused("busy", f"{peer.path} is scanning already: wait for that")
        self._numbers += 1
        running = self._running[peer.appliance_id] = _Running(peer, self._numbers)
        peer.channel.send(Scan(request_id=running.request_id))
        try:
            async with asyncio.timeout(self._deadline_s):
                text = await running.done
        except TimeoutError:
            raise Refused("timeout", f"{peer.path} did not finish its scan within {self._deadline_s:.0f} s") from None
        finally:
            del self._running[peer.appliance_id]
        if text and not running.found:
            raise Refused("scan", f"{peer.path}: {text}")
        return tuple(running.found)

    def result(self, peer: AppliancePeer, message: ScanResult) -> None:
        """Take a part of an answer; one that nobody waits for is dropped."""
        running = self._running.get(peer.appliance_id)
        if running is None or running.peer is not peer or running.request_id != message.request_id:
            return
        running.found += message.found[: MAX_FOUND - len(running.found)]
        if message.finished and not running.done.done():
            running.done.set_result(message.text)

    def left(self, peer: AppliancePeer) -> None:
        """Its connection is gone."""
        running = self._running.get(peer.appliance_id)
        if running is not None and running.peer is peer and not running.done.done():
            running.done.set_exception(Refused("offline", f"{peer.path} lost its connection during the scan"))


class _Running:
    def __init__(self, peer: AppliancePeer, request_id: int) -> None:
        self.peer = peer
        self.request_id = request_id
        self.found: list[FoundDevice] = []
        self.done: asyncio.Future[str] = asyncio.get_running_loop().create_future()

"""Where everything lands that an appliance says beside its sessions: reports, scans, samples, firmware."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TypeAlias

from gatelink.messages import (
    ApplianceEvent,
    ApplianceStatus,
    DeviceStates,
    FirmwareFetch,
    FirmwareProgress,
    Refusal,
    ScanResult,
)
from gm_server.database.store import Store

from .appliance_peer import AppliancePeer, Report
from .peers import Peers
from .reports import Reports
from .sampling import Sampling
from .scans import Scans

FirmwareMessage: TypeAlias = FirmwareFetch | FirmwareProgress


class ApplianceDesk:
    """One for the server. ``clock`` is Unix time; ``take_bytes`` as in ``Sampling``."""

    def __init__(
        self,
        store: Store,
        peers: Peers,
        clock: Callable[[], float],
        take_bytes: Callable[[str], tuple[int, int]],
    ) -> None:
        self.reports = Reports(store, peers, clock)
        self.scans = Scans()
        self.sampling = Sampling(store, peers, clock, take_bytes)
        self.on_firmware: Callable[[AppliancePeer, FirmwareMessage], None] = _no_firmware
        """Who serves bundles."""
        peers.said, peers.came, peers.left = self.said, self.came, self.left

    def came(self, peer: AppliancePeer) -> None:
        """An appliance logged in."""
        self.sampling.came(peer)
        self.reports.look()

    def left(self, peer: AppliancePeer) -> None:
        """Its connection is gone."""
        self.sampling.left(peer)
        self.scans.left(peer)
        self.reports.on_change(peer.appliance_id)

    def said(self, peer: AppliancePeer, message: Report) -> None:
        """It says something."""
        match message:
            case ApplianceStatus():
                self.reports.status(peer, message)
            case DeviceStates():
                self.reports.states(peer, message)
            case ApplianceEvent():
                self.reports.event(peer, message)
            case ScanResult():
                self.scans.result(peer, message)
            case FirmwareFetch() | FirmwareProgress():
                self.on_firmware(peer, message)

    def tasks(self) -> list[asyncio.Task[None]]:
        """Start what runs as long as the server; its owner cancels it."""
        return [asyncio.create_task(self.reports.run()), asyncio.create_task(self.sampling.run())]

    async def close(self) -> None:
        """Write what is not written yet."""
        await self.reports.flush()
        await self.sampling.take()


def _no_firmware(peer: AppliancePeer, message: FirmwareMessage) -> None:
    if isinstance(message, FirmwareFetch):
        text = "this bundle is not offered here"
        peer.channel.send(Refusal(code="unknown-bundle", text=text, request_id=message.request_id))

"""Where everything lands that an appliance says beside its sessions: reports, scans, samples, firmware."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from gatelink.messages import (
    ApplianceEvent,
    ApplianceStatus,
    DeviceStates,
    FirmwareFetch,
    FirmwareProgress,
    ScanResult,
)
from gm_server.appliances.bundle_files import BundleFiles
from gm_server.database.store import Store

from .appliance_peer import AppliancePeer, Report
from .firmware import FirmwareDesk
from .peers import Peers
from .reports import Reports
from .sampling import Sampling
from .scans import Scans


class ApplianceDesk:
    """One for the server. ``clock`` is Unix time; ``take_bytes`` as in ``Sampling``."""

    def __init__(
        self,
        store: Store,
        peers: Peers,
        files: BundleFiles,
        clock: Callable[[], float],
        take_bytes: Callable[[str], tuple[int, int]],
    ) -> None:
        self.reports = Reports(store, peers, clock)
        self.scans = Scans()
        self.sampling = Sampling(store, peers, clock, take_bytes)
        self.firmware = FirmwareDesk(store, peers, files, clock)
        peers.said, peers.came, peers.left = self.said, self.came, self.left

    def came(self, peer: AppliancePeer) -> None:
        """An appliance logged in."""
        self.sampling.came(peer)
        self.reports.look()
        self.firmware.look()

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
                self.firmware.heard(peer, message)

    def tasks(self) -> list[asyncio.Task[None]]:
        """Start what runs as long as the server; its owner cancels it."""
        return [asyncio.create_task(part.run()) for part in (self.reports, self.sampling, self.firmware)]

    async def close(self) -> None:
        """Write what is not written yet."""
        await self.reports.flush()
        await self.sampling.take()
        await self.firmware.close()

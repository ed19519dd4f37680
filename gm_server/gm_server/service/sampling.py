"""Takes samples of all appliances for the plots, and thins old ones out."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from gm_server.appliances.samples import SAMPLE_S, Sample, add_samples, thin_samples
from gm_server.appliances.status import active_uplink
from gm_server.database.store import Store
from gm_server.exceptions import DatabaseError

from .appliance_peer import AppliancePeer
from .peers import Peers

_THIN_EVERY = 12
"""Samples between two thinnings: an hour."""
_log = logging.getLogger("gm.reports")


class Sampling:
    """``clock`` is Unix time; ``take_bytes`` returns the bytes from users and from the appliance since it was asked."""

    def __init__(
        self,
        store: Store,
        peers: Peers,
        clock: Callable[[], float],
        take_bytes: Callable[[str], tuple[int, int]],
        period_s: float = SAMPLE_S,
    ) -> None:
        self._store = store
        self._peers = peers
        self._clock = clock
        self._take_bytes = take_bytes
        self._period_s = period_s
        self._pending: list[Sample] = []
        self._rounds = 0

    def came(self, peer: AppliancePeer) -> None:
        """An appliance logged in."""
        self._pending.append(self._sample(peer, online=True))

    def left(self, peer: AppliancePeer) -> None:
        """An appliance's connection is gone."""
        self._pending.append(self._sample(peer, online=False))

    async def run(self) -> None:
        """Take samples until cancelled."""
        while True:
            await asyncio.sleep(self._period_s)
            await self.take()

    async def take(self) -> None:
        """Take a sample of everybody who is here, and write them."""
        pending, self._pending = self._pending, []
        pending += [self._sample(peer, online=True) for peer in self._peers.appliances()]
        try:
            await self._store.note(add_samples, pending)
            self._rounds += 1
            if self._rounds % _THIN_EVERY == 1:
                await self._store.note(thin_samples, self._clock())
        except DatabaseError as error:
            _log.error("samples cannot be kept: %s", error)

    def _sample(self, peer: AppliancePeer, *, online: bool) -> Sample:
        from_users, from_appliance = self._take_bytes(peer.appliance_id)
        round_trip_s = peer.channel.round_trip_s
        return Sample(
            appliance_id=peer.appliance_id,
            at=self._clock(),
            online=online,
            latency_ms=None if round_trip_s is None or not online else round_trip_s * 1000,
            bytes_from_users=from_users,
            bytes_from_appliance=from_appliance,
            uplink=active_uplink(peer.status),
            port=peer.port,
        )

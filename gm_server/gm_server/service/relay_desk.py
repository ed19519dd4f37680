"""Permanent relays at the running server: who carries them is told which, and says how they are."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Collection
from typing import Final

from sqlalchemy import select
from sqlalchemy.orm import Session

from gatelink.exceptions import GatelinkError
from gatelink.messages import Done, RelayDuty, Relays, RelayState, WatchRelays
from gm_server.access.relays import Observed
from gm_server.database.store import Store
from gm_server.database.tables import Appliance, Device, Domain, Relay, User

from .peers import Peers
from .user_peer import UserPeer

_PATIENCE_S: Final = 1.0
"""Before it is tried again to read the records."""
_log = logging.getLogger("gm.relays")


class RelayDesk:
    """Tells every LinkManager that carries relays the full list, at first and whenever it is another one."""

    def __init__(self, store: Store, peers: Peers) -> None:
        self._store = store
        self._peers = peers
        self._changed = asyncio.Event()

    def look(self) -> None:
        """The records changed."""
        self._changed.set()

    async def watch(self, peer: UserPeer, request: WatchRelays) -> None:
        """This LinkManager carries relays from now on."""
        peer.carries_relays = True
        peer.channel.send(Done(request_id=request.request_id))
        self.look()

    async def run(self) -> None:
        """Tell what changed until cancelled."""
        while True:
            await self._changed.wait()
            self._changed.clear()
            try:
                await self._tell()
            except GatelinkError as error:
                _log.error("nobody was told which relays to carry: %s", error)
                self._changed.set()
                await asyncio.sleep(_PATIENCE_S)

    def observed(self, relay_id: str, appliance_id: str) -> Observed:
        """Return what is seen of a relay now."""
        appliance = self._peers.appliance(appliance_id)
        status = appliance.status if appliance is not None else None
        return Observed(appliance is not None, status is not None and status.locked, self.told().get(relay_id))

    def told(self) -> dict[str, RelayState]:
        """Return what LinkManagers say of relays, by id: of several of one user one carries it, the others stand by."""
        found: dict[str, RelayState] = {}
        for peer in self._peers.users():
            for relay_id, state in peer.relay_states.items():
                if relay_id not in found or state.condition == "listening":
                    found[relay_id] = state
        return found

    async def _tell(self) -> None:
        carriers = [peer for peer in self._peers.users() if peer.carries_relays]
        if not carriers:
            return
        duties = await self._store.read(_duties, {peer.user_id for peer in carriers})
        for peer in carriers:
            wanted = duties.get(peer.user_id, ())
            if peer.duties != wanted:
                peer.duties = wanted
                peer.channel.send(Relays(relays=wanted))


def _duties(session: Session, user_ids: Collection[str]) -> dict[str, tuple[RelayDuty, ...]]:
    query = (
        select(Relay, Device.name, Appliance.id, Domain.path + "/" + Appliance.name)
        .join(Device, Device.id == Relay.device_id)
        .join(Appliance, Appliance.id == Device.appliance_id)
        .join(Domain, Domain.id == Appliance.domain_id)
        .join(User, User.id == Relay.user_id)
        .where(Relay.user_id.in_(user_ids), Relay.enabled, User.disabled_at.is_(None))
        .order_by(Relay.name)
    )
    found: dict[str, list[RelayDuty]] = {}
    for relay, device, appliance_id, appliance in session.execute(query):
        found.setdefault(relay.user_id, []).append(
            RelayDuty(
                relay_id=relay.id,
                name=relay.name,
                direction=relay.direction,
                appliance_id=appliance_id,
                appliance=appliance,
                device_id=relay.device_id,
                device=device,
                port=relay.port,
                target_port=relay.target_port,
            )
        )
    return {user_id: tuple(duties) for user_id, duties in found.items()}

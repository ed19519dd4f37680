"""What appliances report: their state, their devices', their events. Kept in few transactions, however many come."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Final

from sqlalchemy.orm import Session

from gatelink.messages import ApplianceEvent, ApplianceStatus, DeviceState, DeviceStates, EventsKept, WatchDevices
from gm_server.appliances.checks import note_states, watches
from gm_server.appliances.events import keep_events
from gm_server.appliances.status import note_statuses
from gm_server.database.store import Store
from gm_server.exceptions import DatabaseError

from .appliance_peer import AppliancePeer
from .peers import Peers

FLUSH_S: Final = 0.5
MAX_EVENTS: Final = 256
"""Of one appliance, received and not yet written. More are not taken: it sends them again. A security limit."""
_log = logging.getLogger("gm.reports")


class Reports:
    """``clock`` is Unix time. ``on_change`` hears the id of each appliance of which something new is known."""

    def __init__(self, store: Store, peers: Peers, clock: Callable[[], float], check_period_s: float = 60.0) -> None:
        self._store = store
        self._peers = peers
        self._clock = clock
        self._check_period_s = check_period_s
        self._statuses: dict[str, tuple[ApplianceStatus, float]] = {}
        self._states: dict[str, dict[str, DeviceState]] = {}
        self._events: dict[str, list[ApplianceEvent]] = {}
        self._work = asyncio.Event()
        self._look = False
        self.on_change: Callable[[str], None] = lambda _appliance_id: None

    def status(self, peer: AppliancePeer, message: ApplianceStatus) -> None:
        """An appliance told what it is like now."""
        peer.status = message
        self._statuses[peer.appliance_id] = message, self._clock()
        self._work.set()

    def states(self, peer: AppliancePeer, message: DeviceStates) -> None:
        """An appliance told which devices it reaches. One that it was not asked about is none of its business."""
        asked = {watch.device_id for watch in peer.watch}
        news = {state.device_id: state for state in message.states if state.device_id in asked}
        self._states.setdefault(peer.appliance_id, {}).update(news)
        self._work.set()

    def event(self, peer: AppliancePeer, message: ApplianceEvent) -> None:
        """An appliance told of something that is to be kept."""
        waiting = self._events.setdefault(peer.appliance_id, [])
        if len(waiting) < MAX_EVENTS:
            waiting.append(message)
        self._work.set()

    def look(self) -> None:
        """The records changed, or somebody logged in: tell appliances what they are to check, where that is new."""
        self._look = True
        self._work.set()

    async def run(self) -> None:
        """Write what came, until cancelled."""
        while True:
            await self._work.wait()
            self._work.clear()
            await self.flush()
            await asyncio.sleep(FLUSH_S)

    async def flush(self) -> None:
        """Write what came so far, and acknowledge what is written."""
        statuses, self._statuses = self._statuses, {}
        states, self._states = self._states, {}
        events, self._events = self._events, {}
        look, self._look = self._look, False
        try:
            if statuses or states or events:
                kept, changed = await self._store.note(_write, statuses, states, events, self._clock())
                self._acknowledge(kept)
                self._count_changes(changed)
            if look:
                await self._tell_watches()
        except DatabaseError as error:
            _log.error("what appliances reported cannot be kept: %s", error)
            self._statuses = {**statuses, **self._statuses}
            self._look = self._look or look
            # Events are sent again by whoever had no acknowledgement, at his next login at the latest.
        for appliance_id in {*statuses, *states, *events}:
            self.on_change(appliance_id)

    def _acknowledge(self, kept: dict[str, int]) -> None:
        for appliance_id, number in kept.items():
            peer = self._peers.appliance(appliance_id)
            if peer is not None:
                peer.channel.send(EventsKept(number=number))

    def _count_changes(self, appliance_ids: set[str]) -> None:
        for appliance_id in appliance_ids:
            peer = self._peers.appliance(appliance_id)
            if peer is not None:
                peer.device_changes += 1

    async def _tell_watches(self) -> None:
        peers = {peer.appliance_id: peer for peer in self._peers.appliances()}
        found = await self._store.read(watches, list(peers))
        for appliance_id, devices in found.items():
            peer = peers[appliance_id]
            if devices != peer.watch:
                peer.watch = devices
                peer.channel.send(WatchDevices(devices=devices, period_s=self._check_period_s))


def _write(
    session: Session,
    statuses: dict[str, tuple[ApplianceStatus, float]],
    states: dict[str, dict[str, DeviceState]],
    events: dict[str, list[ApplianceEvent]],
    now: float,
) -> tuple[dict[str, int], set[str]]:
    """Return up to which number events are kept, and the appliances with devices that came or went."""
    note_statuses(session, statuses)
    changed = {
        appliance_id
        for appliance_id, found in states.items()
        if note_states(session, appliance_id, list(found.values()))
    }
    kept = {appliance_id: keep_events(session, appliance_id, came, now) for appliance_id, came in events.items()}
    return {appliance_id: number for appliance_id, number in kept.items() if number is not None}, changed

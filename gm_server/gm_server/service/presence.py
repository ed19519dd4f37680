"""Remembers when appliances were here, many in one transaction: a thousand may come back in the same second."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Sequence
from typing import Final

import msgspec
from sqlalchemy.orm import Session

from gm_server.access.actors import Actor
from gm_server.appliances.registry import Presence, note_presence
from gm_server.audit.events import Event
from gm_server.audit.log import Detail, Subject, record
from gm_server.database.store import Store
from gm_server.enrolment.redeem import wipe_used_claims
from gm_server.exceptions import DatabaseError

from .appliance_peer import AppliancePeer

FLUSH_S: Final = 5.0
MAX_CHANGES: Final = 20_000
"""That are kept while the database cannot be written; the oldest make room."""
_log = logging.getLogger("gm.control")


class Change(msgspec.Struct, frozen=True):
    """An appliance came or went."""

    event: Event
    peer: AppliancePeer
    at: float
    details: dict[str, Detail]


class PresenceLog:
    """``clock`` is Unix time."""

    def __init__(self, store: Store, clock: Callable[[], float]) -> None:
        self._store = store
        self._clock = clock
        self._pending: dict[str, Presence] = {}
        self._changes: deque[Change] = deque(maxlen=MAX_CHANGES)

    def connected(self, peer: AppliancePeer) -> None:
        """An appliance is here."""
        self._note(peer)
        details: dict[str, Detail] = {"port": peer.port, "software": peer.software}
        self._changes.append(Change(Event.APPLIANCE_CONNECTED, peer, self._clock(), details))

    def lost(self, peer: AppliancePeer, reason: str) -> None:
        """An appliance was here until now."""
        self._note(peer)
        self._changes.append(Change(Event.APPLIANCE_LOST, peer, self._clock(), {"reason": reason}))

    def _note(self, peer: AppliancePeer) -> None:
        self._pending[peer.appliance_id] = Presence(
            peer.appliance_id, self._clock(), peer.address, peer.port, peer.software, peer.run_id
        )

    async def run(self) -> None:
        """Write what was noted, every few seconds, until cancelled."""
        while True:
            await asyncio.sleep(FLUSH_S)
            await self.flush()

    async def flush(self) -> None:
        """Write what was noted."""
        pending, self._pending = self._pending, {}
        changes = tuple(self._changes)
        self._changes.clear()
        if not pending and not changes:
            return
        try:
            await self._store.note(_write, list(pending.values()), changes)
        except DatabaseError as error:
            self._pending = {**pending, **self._pending}
            self._changes.extendleft(reversed(changes))
            _log.error("cannot remember who was here: %s", error)


def _write(session: Session, presences: Sequence[Presence], changes: Sequence[Change]) -> None:
    note_presence(session, presences)
    wipe_used_claims(session, [presence.appliance_id for presence in presences])
    for change in changes:
        peer = change.peer
        by = Actor(peer.appliance_id, peer.path.rpartition("/")[2], (), "sm", peer.address)
        subject = Subject(peer.appliance_id, peer.path, peer.path.rpartition("/")[0])
        record(session, by, change.event, subject, change.at, **change.details)

"""Remembers when appliances were here, many in one transaction: a thousand may come back in the same second."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from typing import Final

from sqlalchemy.orm import Session

from gm_server.appliances.registry import Presence, note_presence
from gm_server.database.store import Store
from gm_server.enrolment.redeem import wipe_used_claims
from gm_server.exceptions import DatabaseError

from .appliance_peer import AppliancePeer

FLUSH_S: Final = 5.0
_log = logging.getLogger("gm.control")


class PresenceLog:
    """``clock`` is Unix time."""

    def __init__(self, store: Store, clock: Callable[[], float]) -> None:
        self._store = store
        self._clock = clock
        self._pending: dict[str, Presence] = {}

    def note(self, peer: AppliancePeer) -> None:
        """An appliance is here, or was until now."""
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
        if not pending:
            return
        try:
            await self._store.note(_write, list(pending.values()))
        except DatabaseError as error:
            self._pending = {**pending, **self._pending}
            _log.error("cannot remember who was here: %s", error)


def _write(session: Session, presences: Sequence[Presence]) -> None:
    note_presence(session, presences)
    wipe_used_claims(session, [presence.appliance_id for presence in presences])

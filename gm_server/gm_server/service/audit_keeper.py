"""Keeps the audit log of the running server: its start and stop, and checkpoints in between."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Final

from sqlalchemy.orm import Session

from gatelink.identity import Identity
from gm_server import __version__
from gm_server.access.actors import SYSTEM
from gm_server.audit.checkpoints import last_checkpoint, make_checkpoint, missing_behind
from gm_server.audit.cuts import missing_at_the_beginning, sweep
from gm_server.audit.events import Event
from gm_server.audit.log import Result, Subject, record
from gm_server.audit.reading import head
from gm_server.database.store import Store
from gm_server.exceptions import DatabaseError

LOOK_S: Final = 10.0
CHECKPOINT_S: Final = 600.0
CHECKPOINT_ENTRIES: Final = 1000
"""After so many new entries a checkpoint does not wait for its time."""
_log = logging.getLogger("gm.audit")


class AuditKeeper:
    """``identity`` returns the appliance certificate in use; ``clock`` is Unix time."""

    def __init__(self, store: Store, identity: Callable[[], Identity], clock: Callable[[], float]) -> None:
        self._store = store
        self._identity = identity
        self._clock = clock

    async def started(self) -> None:
        """Record the start; says so if signed entries are missing."""
        # What a cut left behind, if it was interrupted.
        while await self._store.note(sweep):
            pass
        missing = await self._store.note(_start, self._identity(), self._clock())
        if missing:
            _log.error("%s", missing)

    async def run(self) -> None:
        """Make checkpoints until cancelled."""
        while True:
            await asyncio.sleep(LOOK_S)
            try:
                await self._store.note(_sign_if_due, self._identity(), self._clock())
            except DatabaseError as error:
                _log.error("the audit log was not signed: %s", error)

    async def stopped(self) -> None:
        """Record the stop and sign it."""
        try:
            await self._store.note(_stop, self._identity(), self._clock())
        except DatabaseError as error:
            _log.error("the end of the audit log was not signed: %s", error)


def _start(session: Session, identity: Identity, now: float) -> str:
    missing = missing_at_the_beginning(session) or missing_behind(session)
    result: Result = "failed" if missing else "done"
    record(session, SYSTEM, Event.SERVER_STARTED, Subject(), now, result, version=__version__, audit=missing or "whole")
    make_checkpoint(session, identity, now)
    return missing


def _sign_if_due(session: Session, identity: Identity, now: float) -> None:
    newest, signed = head(session), last_checkpoint(session)
    if newest is None:
        return
    behind = newest[0] - (signed.number if signed else 0)
    if behind >= CHECKPOINT_ENTRIES or (behind > 0 and (signed is None or now - signed.at >= CHECKPOINT_S)):
        make_checkpoint(session, identity, now)


def _stop(session: Session, identity: Identity, now: float) -> None:
    record(session, SYSTEM, Event.SERVER_STOPPED, Subject(), now, version=__version__)
    make_checkpoint(session, identity, now)

"""Looks, over and over, whether something is wrong that somebody should know."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from typing import Final

from sqlalchemy.orm import Session

from gatelink.exceptions import GatelinkError
from gm_server.alarms import facts, records
from gm_server.alarms.conditions import Condition, expiring, guessed, halted, offline
from gm_server.alarms.settings import load_alarm_settings
from gm_server.database.store import Store

from .peers import Peers

LOOK_S: Final = 5.0
_KINDS: Final = ("offline", "failed-logins", "certificate", "firmware")
_log = logging.getLogger("gm.alarms")


class AlarmKeeper:
    """``certificates`` are the server's own (name, DER), ``told`` says whom to tell; ``clock`` is Unix time."""

    def __init__(
        self,
        store: Store,
        peers: Peers,
        certificates: Callable[[], Sequence[tuple[str, bytes]]],
        told: Callable[[], records.Told],
        clock: Callable[[], float],
    ) -> None:
        self._store = store
        self._peers = peers
        self._certificates = certificates
        self._told = told
        self._clock = clock
        self._since = clock()

    async def run(self) -> None:
        """Look until cancelled."""
        while True:
            await asyncio.sleep(LOOK_S)
            try:
                await self.look()
            except GatelinkError as error:
                _log.error("alarms are not looked at: %s", error)

    async def look(self) -> None:
        """Open and close what is to be opened and closed now."""
        online = frozenset(peer.appliance_id for peer in self._peers.appliances())
        arguments = (online, self._certificates(), self._told(), self._since, self._clock())
        changes = await self._store.note(_look, *arguments)
        for text in changes.begun:
            _log.warning("alarm: %s", text)
        for text in changes.ended:
            _log.info("alarm is over: %s", text)


def _look(
    session: Session,
    online: frozenset[str],
    certificates: Sequence[tuple[str, bytes]],
    told: records.Told,
    since: float,
    now: float,
) -> records.Changes:
    settings = load_alarm_settings(session)
    wrong: list[Condition] = offline(facts.missing_appliances(session, online, settings.offline_minutes), now, since)
    wrong += guessed(facts.failed_logins(session, now), settings.failed_logins)
    wrong += expiring(facts.ending_certificates(session, certificates, now), settings.certificate_days, now)
    wrong += halted(facts.halted_rollouts(session), now)
    quiet = records.Told(told.gatemanager, told.link if settings.mail else "")
    return records.put(session, _KINDS, wrong, quiet, now)

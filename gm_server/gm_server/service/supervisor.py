"""Decides every live session and connection anew when the records change, and when a grant begins or ends.

Within two seconds (``TICK_S`` and the time to decide): narrower or wider rights are told to both ends, lost ones end
the session. When the records cannot be read for ``BLIND_S`` every session ends: who cannot be judged is not let on.
"""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Callable
from typing import Final

from sqlalchemy.orm import Session as DatabaseSession

from gatelink.exceptions import GatelinkError
from gatelink.identity import certificate_sha256
from gm_server.access.facts import Facts, load_facts
from gm_server.access.live import Session
from gm_server.accounts.issuing import LOGIN_OVER
from gm_server.appliances.registry import active_certificates
from gm_server.database.store import Store

from .peers import Peers
from .sessions import Sessions

TICK_S: Final = 0.25
BLIND_S: Final = 30.0
_log = logging.getLogger("gm.supervisor")


class Supervisor:
    """``clock`` is Unix time."""

    def __init__(self, store: Store, peers: Peers, sessions: Sessions, clock: Callable[[], float]) -> None:
        self._store = store
        self._peers = peers
        self._sessions = sessions
        self._clock = clock
        self._next_at = math.inf
        self._blind_since: float | None = None
        self.on_decided: Callable[[], None] = lambda: None
        """Told when the records changed and everybody was judged."""

    async def run(self) -> None:
        """Watch until cancelled."""
        while True:
            try:
                if await self._store.changed() or self._clock() >= self._next_at:
                    await self.decide()
                    self.on_decided()
                self._blind_since = None
            except Exception as error:  # noqa: BLE001 - whatever it is, rights are not known: the time to the end runs
                self._store.touch()
                self._be_blind(error)
            await asyncio.sleep(TICK_S)

    async def decide(self) -> None:
        """Judge everybody who is connected and every live session by the records as they are now."""
        users = {peer.user_id for peer in self._peers.users()} | {session.user_id for session in self._sessions.live}
        appliances = {session.appliance_id for session in self._sessions.live}
        facts, active = await self._store.read(_load, users, appliances)
        now = self._clock()
        next_at = math.inf
        # The sessions first: their ends are told over the connections that are closed after them.
        for session in self._sessions.live:
            if session.user_id in users and session.appliance_id in appliances:
                next_at = min(next_at, self._judge(session, facts, now))
        for appliance in self._peers.appliances():
            if active.get(appliance.appliance_id) != appliance.certificate_sha256:
                appliance.channel.refuse("unknown-certificate", "this appliance was removed, revoked or enrolled anew")
        for user in self._peers.users():
            if user.user_id not in users:
                continue
            if facts.knows(user.certificate_sha256, now):
                next_at = min(next_at, facts.user_certificates[user.certificate_sha256])
            elif facts.is_over(user.certificate_sha256, now):
                user.channel.refuse("login", LOGIN_OVER)
            else:
                user.channel.refuse("login", "this account cannot log in any more, or only with a new certificate")
        self._next_at = next_at

    def _judge(self, session: Session, facts: Facts, now: float) -> float:
        """Do what follows for one session; return when it is to be judged again at the latest."""
        appliance = facts.appliances.get(session.appliance_id)
        end = self._sessions.end
        if facts.is_over(session.user_certificate_sha256, now):
            end(session.session_id, "login-over", LOGIN_OVER)
        elif not facts.knows(session.user_certificate_sha256, now):
            end(session.session_id, "user-disabled", "the user was disabled, or the certificate revoked")
        elif (
            appliance is None
            or appliance.certificate is None
            or certificate_sha256(appliance.certificate) != session.appliance_certificate_sha256
        ):
            end(session.session_id, "appliance-removed", "the appliance was removed, revoked or enrolled anew")
        else:
            if session.for_relays:
                rights = facts.relay_rights(session.user_id, appliance, now)
            else:
                rights = facts.rights(session.user_id, appliance, now, session.device_ids)
            if not rights.devices or session.mode not in rights.modes:
                end(session.session_id, "grant-ended", "what allowed this session has ended")
            else:
                self._sessions.change(session, rights)
                ends = facts.user_certificates[session.user_certificate_sha256]
                return min(ends, math.inf if rights.changes_at is None else rights.changes_at)
        return math.inf

    def _be_blind(self, error: Exception) -> None:
        now = asyncio.get_running_loop().time()
        if self._blind_since is None:
            self._blind_since = now
            _log.error("rights cannot be decided: %s", error, exc_info=not isinstance(error, GatelinkError))
        elif now - self._blind_since > BLIND_S:
            for session in self._sessions.live:
                self._sessions.end(session.session_id, "failed", "the GateManager cannot read its records")


def _load(session: DatabaseSession, users: set[str], appliances: set[str]) -> tuple[Facts, dict[str, bytes]]:
    return load_facts(session, users, appliances), active_certificates(session)

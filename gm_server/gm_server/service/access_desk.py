"""Requests for access from LinkManagers, and what they are told by themselves: decisions, and that the tree changed.

What changed is found by comparing once a second, not by hooks: a thousand appliances that come back at once are one
message to whoever sees one of them.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from typing import Final

from sqlalchemy.orm import Session as DatabaseSession

from gatelink.exceptions import GatelinkError, InputError, Refused
from gatelink.messages import AccessDecided, AccessRequested, Done, RequestAccess, TreeChanged, WatchTree
from gm_server.access.live import LiveSessions
from gm_server.access.roles import load_actor
from gm_server.acts.requests import NewRequest, RequestView, Sender, close_stale, decided_since, make_request
from gm_server.database.store import Store
from gm_server.exceptions import Forbidden

from .peers import Peers
from .user_peer import UserPeer

BEAT_S: Final = 1.0
STALE_S: Final = 60.0
TOLD_S: Final = 86400.0
"""Decisions of the last day are told at the login."""
_log = logging.getLogger("gm.requests")


class AccessDesk:
    """``sender`` says what letters need to know; ``clock`` is Unix time."""

    def __init__(
        self,
        store: Store,
        peers: Peers,
        live: LiveSessions,
        sender: Callable[[], Sender],
        clock: Callable[[], float],
    ) -> None:
        self._store = store
        self._peers = peers
        self._live = live
        self._sender = sender
        self._clock = clock
        self._records_changed = True
        self._seen: dict[str, tuple[object, ...]] = {}
        self._stale_at = 0.0

    def look(self) -> None:
        """The records changed: requests may be decided, the tree may look different."""
        self._records_changed = True

    async def request_access(self, peer: UserPeer, request: RequestAccess) -> None:
        """Make a request; raises Refused."""
        view = await self._store.write(_make, peer.user_id, peer.address, request, self._sender(), self._clock())
        _log.info("%s asks for access to %s (%s)", view.user, view.appliance, view.id)
        peer.channel.send(AccessRequested(request_id=request.request_id, access_id=view.id))

    async def watch_tree(self, peer: UserPeer, request: WatchTree) -> None:
        """Tell this LM of changes from now on."""
        peer.is_watching = True
        peer.channel.send(Done(request_id=request.request_id))

    async def run(self) -> None:
        """Compare and tell until cancelled."""
        while True:
            await asyncio.sleep(BEAT_S)
            try:
                await self.beat()
            except GatelinkError as error:
                self._records_changed = True
                _log.error("nobody was told what changed: %s", error)

    async def beat(self) -> None:
        """Tell everybody what is new since the last time."""
        now = self._clock()
        if now >= self._stale_at:
            self._stale_at = now + STALE_S
            await self._store.note(close_stale, now)
        records_changed, self._records_changed = self._records_changed, False
        changed = self._changed()
        if records_changed:
            await self._tell_decided(now)
        for peer in self._peers.users():
            if peer.is_watching and (records_changed or not changed.isdisjoint(peer.listed)):
                peer.channel.send(TreeChanged())

    def _changed(self) -> set[str]:
        """Return the ids of appliances that look different: here or away, locked, their devices, who is connected."""
        now_seen: dict[str, tuple[object, ...]] = {
            peer.appliance_id: (peer.since, peer.device_changes, peer.status is not None and peer.status.locked)
            for peer in self._peers.appliances()
        }
        for session in self._live:
            if session.state == "joined":
                key = session.appliance_id
                now_seen[key] = (*now_seen.get(key, ()), session.user_name)
        before, self._seen = self._seen, now_seen
        different = {key for key, state in now_seen.items() if before.get(key) != state}
        return different | (before.keys() - now_seen.keys())

    async def _tell_decided(self, now: float) -> None:
        users = {peer.user_id for peer in self._peers.users()}
        if not users:
            return
        decided = await self._store.read(_decided, users, now - TOLD_S)
        for peer in self._peers.users():
            for view in decided:
                key = (view.id, view.state)
                if view.user_id == peer.user_id and key not in peer.told:
                    peer.told.add(key)
                    peer.channel.send(_message(view))


def _message(view: RequestView) -> AccessDecided:
    return AccessDecided(
        access_id=view.id,
        appliance_id=view.appliance_id,
        name=view.appliance.rpartition("/")[2],
        state=view.state,
        text=view.decision_text,
        valid_until=view.valid_until,
    )


def _make(
    session: DatabaseSession, user_id: str, address: str, request: RequestAccess, sender: Sender, now: float
) -> RequestView:
    by = load_actor(session, user_id, "lm", address)
    if by is None:
        raise Refused("login", "this account cannot log in any more")
    wanted = NewRequest(
        appliance=request.appliance_id,
        devices=request.device_ids,
        reason=request.reason,
        valid_from=request.valid_from,
        duration_s=request.duration_s,
    )
    try:
        return make_request(session, by, wanted, sender, now)
    except (InputError, Forbidden) as error:
        raise Refused("not-requested", str(error)) from None


def _decided(session: DatabaseSession, user_ids: set[str], since: float) -> Sequence[RequestView]:
    return decided_since(session, user_ids, since)

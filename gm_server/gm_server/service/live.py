"""What pages and the API may see of the running server, and do with it: one narrow facade.

``Feed`` tells watchers that something changed, never what: who watches asks anew, with his own rights. Changes are
found by comparing, once a second, instead of by hooks in everything that changes: a thousand appliances that come back
at once are one change, and whoever forgets to tell cannot be forgotten.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from typing import Final

import msgspec

from gatelink.exceptions import GatelinkError, Refused
from gatelink.messages import FoundDevice
from gm_server.access.history import ENDED_BY_ADMINISTRATOR, ENDED_BY_USER
from gm_server.access.live import Session
from gm_server.access.relays import Observed
from gm_server.appliances.bundle_files import BundleFiles
from gm_server.database.store import Store
from gm_server.texting.sender import TextMessages

from .appliance_peer import AppliancePeer
from .peers import SIGNED_OUT, Peers
from .relay_desk import RelayDesk
from .scans import Scans
from .sessions import Sessions
from .uploads import Uploads

BEAT_S: Final = 1.0
REMEMBERED: Final = 256
"""Changes that are kept for who was away for a moment."""
SCANS_KEPT: Final = 256
"""Results of scans that are remembered, of as many appliances; a restart forgets them."""
WATCHERS_PER_USER: Final = 12
"""Tabs and devices of one person that are told of changes at the same time; the oldest gives way. A security limit."""


class OnlineAppliance(msgspec.Struct, frozen=True):
    """A connected appliance."""

    appliance_id: str
    domain: str
    since: float
    address: str
    port: int
    latency_s: float | None
    software: str


class OnlineUser(msgspec.Struct, frozen=True):
    """A user's LinkManager that is connected."""

    user_id: str
    name: str
    since: float
    address: str
    certificate_sha256: bytes


class Change(msgspec.Struct, frozen=True):
    """Since the beat before: what looks different now."""

    appliances: Mapping[str, str]
    """Appliances that came or went, or whose sessions did, by id: the domain of each."""
    records: bool
    """Something was written: rights, devices, people, requests, alarms."""
    users: bool
    """LinkManagers came or went."""
    anything: bool = False
    """It is not known what changed: anything may have."""

    def __bool__(self) -> bool:
        return bool(self.appliances or self.records or self.users or self.anything)


class Watch:
    """One watcher's changes: what it has not fetched yet is merged, so a slow one costs no memory."""

    def __init__(self, user_id: str) -> None:
        self.user_id = user_id
        self.is_over = False
        self._ready = asyncio.Event()
        self._begin()

    def put(self, change: Change) -> None:
        """Merge a change in."""
        self._appliances.update(change.appliances)
        self._records |= change.records
        self._users |= change.users
        self._anything |= change.anything
        self._ready.set()

    def end(self) -> None:
        """Let the watcher go."""
        self.is_over = True
        self._ready.set()

    async def take(self, patience_s: float) -> Change | None:
        """Return what changed since the last time; None if nothing did within ``patience_s``."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(patience_s):
                await self._ready.wait()
        if not self._ready.is_set() or self.is_over:
            return None
        change = Change(self._appliances, self._records, self._users, self._anything)
        self._ready.clear()
        self._begin()
        return change

    def _begin(self) -> None:
        self._appliances: dict[str, str] = {}
        self._records = self._users = self._anything = False


class Feed:
    """Who watches, and the last changes: who was away for a moment misses none."""

    def __init__(self) -> None:
        self._watches: dict[Watch, None] = {}
        self._past: deque[tuple[int, Change]] = deque(maxlen=REMEMBERED)
        self.number = 0
        """Of the last change. A page that was drawn at this number asks for what came after it."""

    def __len__(self) -> int:
        return len(self._watches)

    @contextlib.asynccontextmanager
    async def watch(self, user_id: str, after: int | None = None) -> AsyncIterator[Watch]:
        """Watch within the block what changes ``after`` a number (None: from now on).

        The person's oldest watch ends where there are too many.
        """
        own = [watch for watch in self._watches if watch.user_id == user_id]
        for oldest in own[: max(0, len(own) - WATCHERS_PER_USER + 1)]:
            del self._watches[oldest]
            oldest.end()
        watch = Watch(user_id)
        for change in self._missed(self.number if after is None else after):
            watch.put(change)
        self._watches[watch] = None
        try:
            yield watch
        finally:
            self._watches.pop(watch, None)

    def tell(self, change: Change) -> None:
        """Tell everybody."""
        if change:
            self.number += 1
            self._past.append((self.number, change))
            for watch in self._watches:
                watch.put(change)

    def close(self) -> None:
        """Let everybody go."""
        for watch in self._watches:
            watch.end()

    def _missed(self, after: int) -> Iterator[Change]:
        oldest = self._past[0][0] if self._past else self.number + 1
        if not oldest - 1 <= after <= self.number:
            # Too long ago, or of a run of the server before this one.
            yield Change({}, records=True, users=True, anything=True)
            return
        for number, change in self._past:
            if number > after:
                yield change


class ScanState(msgspec.Struct, frozen=True, kw_only=True):
    """A scan that runs or ran."""

    running: bool
    at: float
    """When it began; once it is over: when it ended."""
    found: tuple[FoundDevice, ...] = ()
    text: str = ""
    """Why it found nothing."""


class _Beat(msgspec.Struct):
    """What is compared with the beat before."""

    appliances: dict[str, tuple[object, ...]]
    domains: dict[str, str]
    users: frozenset[tuple[str, float]]
    writes: int


class Live:
    """The running server as pages see it. ``clock`` is Unix time."""

    def __init__(
        self,
        store: Store,
        peers: Peers,
        sessions: Sessions,
        scans: Scans,
        texts: TextMessages,
        bundles: BundleFiles,
        relays: RelayDesk,
        clock: Callable[[], float],
        reload: Callable[[], None],
    ) -> None:
        self._store = store
        self.texts = texts
        """Sends text messages, also a test."""
        self.uploads = Uploads(bundles)
        self._scans = scans
        self._relays = relays
        self._scan_results: dict[str, ScanState] = {}
        self._scan_tasks: set[asyncio.Task[None]] = set()
        self._peers = peers
        self._sessions = sessions
        self.clock = clock
        self.reload = reload
        """Load the certificates anew; raises GatelinkError, and then all stays."""
        self.feed = Feed()
        self._beat_seen: _Beat | None = None

    def appliance(self, appliance_id: str) -> OnlineAppliance | None:
        """Return an appliance that is connected."""
        peer = self._peers.appliance(appliance_id)
        if peer is None:
            return None
        return OnlineAppliance(
            peer.appliance_id,
            _domain(peer),
            peer.since,
            peer.address,
            peer.port,
            peer.channel.round_trip_s,
            peer.software,
        )

    def online_ids(self) -> frozenset[str]:
        """Return the ids of all connected appliances."""
        return frozenset(peer.appliance_id for peer in self._peers.appliances())

    def online_by_domain(self) -> dict[str, int]:
        """Return how many appliances are connected, by the path of their domain."""
        counts: dict[str, int] = {}
        for peer in self._peers.appliances():
            domain = _domain(peer)
            counts[domain] = counts.get(domain, 0) + 1
        return counts

    def users(self) -> list[OnlineUser]:
        """Return the LinkManagers that are connected."""
        return [
            OnlineUser(peer.user_id, peer.name, peer.since, peer.address, peer.certificate_sha256)
            for peer in self._peers.users()
        ]

    def sessions(self) -> Iterator[Session]:
        """Go over a snapshot of the live sessions."""
        return iter(self._sessions.live)

    def relay(self, relay_id: str, appliance_id: str) -> Observed:
        """Return what is seen of a permanent relay."""
        return self._relays.observed(relay_id, appliance_id)

    def session(self, session_id: str) -> Session | None:
        """Return a live session."""
        return self._sessions.live.get(session_id)

    def end_session(self, session_id: str, reason: str) -> bool:
        """End a session for an administrator; False if it was over already."""
        if self._sessions.live.get(session_id) is None:
            return False
        self._sessions.end(session_id, ENDED_BY_ADMINISTRATOR, reason)
        return True

    def sign_out(self, certificate_sha256: bytes) -> None:
        """Sign a LinkManager out: its sessions end, and it does not come back before its user logs in again."""
        for session in self._sessions.live:
            if session.user_certificate_sha256 == certificate_sha256:
                self._sessions.end(session.session_id, ENDED_BY_USER, SIGNED_OUT)
        self._peers.sign_out(certificate_sha256, self.clock())

    def start_scan(self, appliance_id: str) -> None:
        """Let an appliance look around; ``scan`` says what came of it. Nothing if it does so already."""
        now = self.clock()
        known, peer = self._scan_results.get(appliance_id), self._peers.appliance(appliance_id)
        if known is not None and known.running:
            return
        if peer is None:
            text = "the appliance is not connected"
            self._put_scan("", appliance_id, ScanState(running=False, at=now, text=text))
            return
        self._put_scan(_domain(peer), appliance_id, ScanState(running=True, at=now))
        task = asyncio.get_running_loop().create_task(self._scan(peer))
        self._scan_tasks.add(task)
        task.add_done_callback(self._scan_tasks.discard)

    def scan(self, appliance_id: str) -> ScanState | None:
        """Return an appliance's last scan; None if none is remembered."""
        return self._scan_results.get(appliance_id)

    async def _scan(self, peer: AppliancePeer) -> None:
        text = ""
        found: tuple[FoundDevice, ...] = ()
        try:
            found = await self._scans.scan(peer)
        except Refused as error:
            text = str(error)
        state = ScanState(running=False, at=self.clock(), found=found, text=text)
        self._put_scan(_domain(peer), peer.appliance_id, state)

    def _put_scan(self, domain: str, appliance_id: str, state: ScanState) -> None:
        self._scan_results.pop(appliance_id, None)
        self._scan_results[appliance_id] = state
        while len(self._scan_results) > SCANS_KEPT:
            del self._scan_results[next(iter(self._scan_results))]
        self.feed.tell(Change({appliance_id: domain}, records=False, users=False))

    async def run(self) -> None:
        """Compare and tell, once a second, until cancelled."""
        while True:
            with contextlib.suppress(GatelinkError):
                self.beat()
            await asyncio.sleep(BEAT_S)

    def beat(self) -> None:
        """Compare with the beat before, and tell what changed."""
        beat = self._look()
        before, self._beat_seen = self._beat_seen, beat
        if before is not None:
            different = {key for key, state in beat.appliances.items() if before.appliances.get(key) != state}
            different |= before.appliances.keys() - beat.appliances.keys()
            domains = {key: beat.domains.get(key) or before.domains[key] for key in different}
            self.feed.tell(Change(domains, before.writes != beat.writes, before.users != beat.users))

    def _look(self) -> _Beat:
        appliances: dict[str, tuple[object, ...]] = {}
        domains: dict[str, str] = {}
        for peer in self._peers.appliances():
            appliances[peer.appliance_id] = (peer.since, peer.address)
            domains[peer.appliance_id] = _domain(peer)
        for session in self._sessions.live:
            key = session.appliance_id
            moved = (session.session_id, session.state, session.bytes_from_user, session.bytes_from_appliance)
            appliances[key] = (*appliances.get(key, ()), moved)
            domains.setdefault(key, session.appliance_path.rpartition("/")[0])
        users = frozenset((peer.user_id, peer.since) for peer in self._peers.users())
        return _Beat(appliances, domains, users, self._store.writes)


def _domain(peer: AppliancePeer) -> str:
    return peer.path.rpartition("/")[0]

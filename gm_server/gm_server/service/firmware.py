"""Hands firmware to appliances: tells them what they are offered, gives pieces of it, keeps what they say about it.

Everything that must outlive this process is in the records. Here is only who was told what over which connection: after
a restart, or when an appliance comes back, the offer is said again, and the appliance knows where it was.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final, TypeAlias

from sqlalchemy.orm import Session

from gatelink.messages import FirmwareChunk, FirmwareFetch, FirmwareProgress, Refusal
from gm_server.appliances.bundle_files import BundleFiles
from gm_server.appliances.firmware import bundle_ids, note_progress
from gm_server.appliances.rollouts import Offered, carry_on, standing
from gm_server.database.store import Store
from gm_server.exceptions import DatabaseError

from .appliance_peer import AppliancePeer
from .peers import Peers

FirmwareMessage: TypeAlias = FirmwareFetch | FirmwareProgress
LOOK_S: Final = 3.0
"""How often mere percents are written, and it is looked for who was waited for long enough."""
SETTLE_S: Final = 0.25
ASKED_BY_ONE: Final = 8
"""Pieces that one appliance may have asked for and not got yet. A security limit: each is held in memory."""
ASKED_IN_ALL: Final = 256
READERS: Final = 2
_log = logging.getLogger("gm.firmware")


class FirmwareDesk:
    """``clock`` is Unix time."""

    def __init__(self, store: Store, peers: Peers, files: BundleFiles, clock: Callable[[], float]) -> None:
        self._store = store
        self._peers = peers
        self._files = files
        self._clock = clock
        self._readers = ThreadPoolExecutor(READERS, "firmware")
        self._offers: dict[str, Offered] = {}
        self._told: dict[str, tuple[AppliancePeer, Offered]] = {}
        self._said: dict[str, tuple[FirmwareProgress, float]] = {}
        self._states: dict[str, str] = {}
        """What each said last: whoever goes on with the same is in no hurry."""
        self._asked: dict[str, int] = {}
        self._answers: set[asyncio.Task[None]] = set()
        self._is_idle = False
        """Nothing is rolled out: nothing is looked for before something is said or the records change."""
        self._work = asyncio.Event()
        self._work.set()

    def heard(self, peer: AppliancePeer, message: FirmwareMessage) -> None:
        """An appliance asks for a piece, or tells how far it is."""
        if isinstance(message, FirmwareFetch):
            self._fetch(peer, message)
        else:
            before, self._states[peer.appliance_id] = self._states.get(peer.appliance_id), message.state
            self._said[peer.appliance_id] = message, self._clock()
            if message.state != before or self._is_idle:
                self._work.set()

    def look(self) -> None:
        """The records changed, or somebody logged in."""
        self._work.set()

    async def run(self) -> None:
        """Carry roll-outs on until cancelled."""
        await self._sweep()
        while True:
            try:
                async with asyncio.timeout(None if self._is_idle else LOOK_S):
                    await self._work.wait()
            except TimeoutError:
                pass
            self._work.clear()
            await self.step()
            await asyncio.sleep(SETTLE_S)

    async def step(self) -> None:
        """Write what was said, do what is due, tell who is to know."""
        self._is_idle = False
        said, self._said = self._said, {}
        online = [peer.appliance_id for peer in self._peers.appliances()]
        try:
            if said:
                await self._store.note(note_progress, said)
            said = {}
            now = self._clock()
            stand = await self._store.read(standing, online, now)
            missing = [key for key, size_bytes in stand.bundles.items() if not self._files.has(key, size_bytes)]
            if stand.is_due or missing:
                await self._store.note(carry_on, online, now, missing)
                stand = await self._store.read(standing, online, now)
        except DatabaseError as error:
            _log.error("roll-outs stand still: %s", error)
            self._said = {**said, **self._said}
            return
        self._offers, self._is_idle = stand.offers, not stand.bundles and not self._said
        self._tell()

    def _tell(self) -> None:
        self._told = {key: told for key, told in self._told.items() if key in self._offers}
        self._states = {key: state for key, state in self._states.items() if key in self._offers}
        for appliance_id, offered in self._offers.items():
            peer = self._peers.appliance(appliance_id)
            told = self._told.get(appliance_id)
            if peer is not None and (told is None or told[0] is not peer or told[1] != offered):
                self._told[appliance_id] = peer, offered
                peer.channel.send(offered.offer)
                _log.info("%s is offered firmware %s", peer.path, offered.offer.version)

    def _fetch(self, peer: AppliancePeer, message: FirmwareFetch) -> None:
        offered = self._offers.get(peer.appliance_id)
        if offered is None or offered.offer.bundle_id != message.bundle_id:
            _refuse(peer, message, "unknown-bundle", "this bundle is not offered here, or not any more")
        elif self._asked.get(peer.appliance_id, 0) >= ASKED_BY_ONE or len(self._answers) >= ASKED_IN_ALL:
            _refuse(peer, message, "busy", "too many pieces are asked for at the same time: ask again")
        else:
            self._asked[peer.appliance_id] = self._asked.get(peer.appliance_id, 0) + 1
            answer = asyncio.get_running_loop().create_task(self._answer(peer, message))
            self._answers.add(answer)
            answer.add_done_callback(self._answers.discard)

    async def _answer(self, peer: AppliancePeer, message: FirmwareFetch) -> None:
        loop = asyncio.get_running_loop()
        try:
            data = await loop.run_in_executor(
                self._readers, self._files.read, message.bundle_id, message.offset, message.size_bytes
            )
        except OSError as error:
            _log.error("the bundle %s cannot be read: %s", message.bundle_id, error.strerror)
            _refuse(peer, message, "busy", "the bundle cannot be read at the moment")
            self._work.set()
        else:
            peer.channel.send(FirmwareChunk(request_id=message.request_id, data=data))
        finally:
            left = self._asked.pop(peer.appliance_id) - 1
            if left:
                self._asked[peer.appliance_id] = left

    async def _sweep(self) -> None:
        try:
            known = await self._store.read(_known)
        except DatabaseError as error:
            _log.error("what interrupted uploads left is not looked for: %s", error)
            return
        await asyncio.get_running_loop().run_in_executor(self._readers, self._files.sweep, known, self._clock())

    async def close(self) -> None:
        """Write what is not written yet."""
        for answer in self._answers:
            answer.cancel()
        await asyncio.gather(*self._answers, return_exceptions=True)
        if self._said:
            try:
                await self._store.note(note_progress, self._said)
            except DatabaseError as error:
                _log.error("what appliances said of their updates cannot be kept: %s", error)
        self._readers.shutdown()


def _known(session: Session) -> list[str]:
    return list(bundle_ids(session))


def _refuse(peer: AppliancePeer, message: FirmwareFetch, code: str, text: str) -> None:
    peer.channel.send(Refusal(code=code, text=text, request_id=message.request_id))

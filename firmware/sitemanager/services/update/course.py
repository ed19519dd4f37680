"""An update's way from a bundle to a system; each step is known by the state, so a restart loses nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Final

import msgspec

from gatelink.exceptions import GatelinkError
from sitemanager.core.updates import NO_SLOTS, Update, tried
from sitemanager.exceptions import StateError
from sitemanager.host import times
from sitemanager.host.slots import Slots

from .fetching import Fetching, Withdrawn
from .intake import Intake
from .ledger import Ledger

GUARD_S: Final = 120.0
"""From a request until the guard begins; it looks once a second, on a machine that may be busy."""


class Course:
    """``is_busy``: a session runs; ``look_s``: between two looks at what has no event."""

    def __init__(
        self,
        slots: Slots,
        ledger: Ledger,
        fetching: Fetching,
        intake: Intake,
        is_busy: Callable[[], bool],
        look_s: float,
    ) -> None:
        self._slots = slots
        self._ledger = ledger
        self._fetching = fetching
        self._intake = intake
        self._is_busy = is_busy
        self._look_s = look_s

    async def run(self) -> None:
        """Go on where the update is, until it is over."""
        while (update := self._ledger.update) is not None and not update.is_over:
            try:
                await self._step(update)
            except (GatelinkError, OSError) as error:
                self._ledger.set(update.now("failed", str(error)))

    async def _step(self, update: Update) -> None:
        match update.state:
            case "fetching" if update.source == "page":
                await self._hand_over(update)
            case "fetching":
                await self._fetch(update)
            case "waiting":
                await self._begin(update)
            case "installing":
                await self._install(update)
            case _:
                await self._restart(update)

    async def _hand_over(self, update: Update) -> None:
        """While somebody sends by the page; a browser that was closed makes room again."""
        while (now := self._ledger.update) is not None and now.update_id == update.update_id:
            if now.state != "fetching":
                return
            if not self._intake.is_open:
                self._ledger.set(now.now("failed", "the upload ended before all of it was there; begin it again"))
                return
            await asyncio.sleep(self._look_s)

    async def _fetch(self, update: Update) -> None:
        room = self._slots.free_bytes()
        if update.size_bytes > room + _size_bytes(self._slots.incoming):
            raise StateError(f"the update has {update.size_bytes} bytes and there is room for {room}")
        try:
            right = await self._fetching.fetch(update, self._slots.incoming, self._ledger.set_percent)
        except Withdrawn as error:
            self._ledger.set(update.now("failed", str(error)))
            return
        if right:
            self._slots.incoming.replace(self._slots.bundle)
            self._ledger.set(update.now("waiting"))
            return
        self._slots.incoming.unlink(missing_ok=True)
        if update.fetched_twice:
            self._ledger.set(update.now("failed", "what arrived is not what was offered: its digest is wrong, twice"))
        else:
            again = msgspec.structs.replace(update, fetched_twice=True)
            self._ledger.set(again.now("fetching", "what arrived was damaged; it is fetched once more"))

    async def _begin(self, update: Update) -> None:
        await self._until_free(update)
        system = self._slots.system()
        if system is None:
            raise StateError(NO_SLOTS)
        if not self._slots.bundle.exists():
            raise StateError("the update is not on the data partition any more; hand it over again")
        self._ledger.set(msgspec.structs.replace(update, from_slot=system.slot).now("installing"))
        self._slots.install(update.update_id, allow_older=update.allow_older)

    async def _until_free(self, update: Update) -> None:
        while self._is_busy() and not update.during_sessions:
            if not update.text:
                update = update.now(update.state, "somebody is connected; it goes on when nobody is", update.percent)
                self._ledger.set(update)
            await asyncio.sleep(self._look_s)

    async def _install(self, update: Update) -> None:
        asked_at = times.steady_s()
        while True:
            found = self._slots.installation()
            if found.update_id == update.update_id:
                if found.state == "refused":
                    self._ledger.set(update.now("refused", found.reason))
                    return
                if found.state == "installed":
                    self._ledger.set(update.now("restarting", "", 100))
                    return
                self._ledger.set_percent(found.percent)
            elif times.steady_s() - asked_at > GUARD_S:
                raise StateError("the guard did not begin the installation; restart the unit and try again")
            await asyncio.sleep(self._look_s)

    async def _restart(self, update: Update) -> None:
        """Before the restart: ask for it, which ends this. After it: until the guard calls the new system good."""
        system = self._slots.system()
        if system is None or system.slot == update.from_slot:
            await self._until_free(update)
            self._slots.restart()
            await asyncio.sleep(GUARD_S)
            return
        now = tried(update, system)
        if now != update:
            self._ledger.set(now)
        await asyncio.sleep(self._look_s)


def _size_bytes(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0

"""Leads an update from its offer to the guard's verdict, over restarts of daemon and unit; tells page and GM."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from collections.abc import Callable
from pathlib import Path
from typing import Final

import msgspec

from gatelink.exceptions import GatelinkError, InputError
from gatelink.messages import FirmwareOffer, FirmwareProgress, Welcome
from gatelink.messages.appliance import FirmwareState
from sitemanager.config import Config
from sitemanager.core.firmware_requests import (
    CancelUpdateRequest,
    FirmwareAnswer,
    FirmwareRequest,
    UpdateView,
    UploadAnswer,
    UploadPieceRequest,
    UploadRequest,
)
from sitemanager.core.local import Caller
from sitemanager.core.updates import MAX_BUNDLE_BYTES, Installation, System, Update, objection, resumed, tried
from sitemanager.exceptions import StateError
from sitemanager.host import times
from sitemanager.host.slots import Slots
from sitemanager.services.appliance_status import ApplianceReport
from sitemanager.services.desk import Desk
from sitemanager.services.gm_line import GmLine

from .fetching import Fetching, Withdrawn
from .intake import Intake
from .record import Record

LOOK_S: Final = 1.0
"""Between two looks at the guard, and at sessions that are waited for."""
GUARD_S: Final = 120.0
"""From a request until the guard begins; it looks once a second, on a machine that may be busy."""
TELL_S: Final = 3.0
"""Between two messages about mere percents."""
AGAIN_S: Final = 60.0
"""An offer of what ended so short a time ago crossed the news of its end: it is answered, not begun again."""
_NO_SLOTS: Final = "this unit has no update slots: it is updated like any program of its system"


class Firmware:
    """A part: see ``services.parts``. ``is_busy``: a session runs."""

    def __init__(
        self,
        slots: Slots,
        record: Record,
        desk: Desk,
        line: GmLine,
        appliance: ApplianceReport,
        is_busy: Callable[[], bool],
        report: Callable[[str], None],
        event: Callable[[str, str], None],
        look_s: float = LOOK_S,
    ) -> None:
        self._slots = slots
        self._record = record
        self._line = line
        self._appliance = appliance
        self._is_busy = is_busy
        self._report = report
        self._event = event
        self._look_s = look_s
        self._fetching = Fetching(line)
        self._intake = Intake(slots.incoming, times.steady_s)
        self._next: FirmwareOffer | None = None
        """Offered while another update could not be put off any more."""
        self._work: asyncio.Task[None] | None = None
        self._beginning: asyncio.Task[None] | None = None
        self._replacing: asyncio.Task[None] | None = None
        self._told: FirmwareProgress | None = None
        self._told_at = 0.0
        self._ended_at: float | None = None
        line.on(FirmwareOffer, self._offered)
        line.on_connected(self._connected)
        desk.register(FirmwareRequest, self._answer)
        desk.register(UploadRequest, self._upload)
        desk.register(UploadPieceRequest, self._piece, deadline_s=60)
        desk.register(CancelUpdateRequest, self._cancel)

    async def use(self, config: Config) -> None:
        """Go on with what an earlier run left, at the first configuration."""
        del config
        if self._beginning is None:
            self._beginning = asyncio.create_task(self._begin())

    async def close(self) -> None:
        """End; an update goes on at the next start."""
        for task in (self._beginning, self._replacing, self._work):
            if task is not None:
                task.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await task
        self._intake.close()

    async def _begin(self) -> None:
        """The guard may need a moment to say what runs; where there is none, it is looked for all the same."""
        while (system := self._slots.system()) is None:  # noqa: ASYNC110 - the guard is another program
            await asyncio.sleep(self._look_s * 5)
        self._show(system)
        update = self._record.update
        if update is not None and not update.is_over:
            self._set(resumed(update, system, self._slots.installation()))
            self._start()

    # What the GateManager offers

    def _offered(self, offer: FirmwareOffer) -> None:
        update = self._record.update
        if update is not None and update.bundle_id == offer.bundle_id:
            crossed = self._ended_at is not None and times.steady_s() - self._ended_at < AGAIN_S
            if not update.is_over or crossed:
                self._tell(anew=True)
                return
        elif update is not None and not update.is_over:
            if update.source != "gm" or update.state in ("installing", "restarting"):
                self._next = offer
                self._say_of(offer, "waiting", "another update is under way")
                return
            self._set(update.now("failed", "another update was offered in its place"))
        self._next = None
        before, self._replacing = self._replacing, None
        if before is not None:
            before.cancel()
        self._replacing = asyncio.get_running_loop().create_task(self._replace(offer))

    async def _replace(self, offer: FirmwareOffer) -> None:
        await self._stop()
        self._accept(offer)

    def _accept(self, offer: FirmwareOffer) -> None:
        system = self._slots.system()
        no = _NO_SLOTS if system is None else objection(offer.version, system, allow_older=offer.allow_older)
        if offer.size_bytes > MAX_BUNDLE_BYTES or not offer.size_bytes:
            no = f"an update of {offer.size_bytes} bytes cannot be one; at most {MAX_BUNDLE_BYTES} are taken"
        if no:
            self._say_of(offer, "refused", no)
            self._event("firmware", f"refused: {no}")
            return
        if system is not None and system.version == offer.version and not system.trial:
            self._say_of(offer, "good", f"version {offer.version} runs already")
            return
        before = self._record.update
        partial = before is not None and before.sha256 == offer.sha256
        if not partial:
            self._slots.incoming.unlink(missing_ok=True)
        self._set(
            Update(
                secrets.token_hex(8),
                "gm",
                offer.size_bytes,
                bundle_id=offer.bundle_id,
                version=offer.version,
                sha256=offer.sha256,
                allow_older=offer.allow_older,
                during_sessions=offer.during_sessions,
            )
        )
        self._start()

    # What the set-up page asks

    def _answer(self, request: FirmwareRequest, caller: Caller) -> FirmwareAnswer:
        del request, caller
        system, update = self._slots.system(), self._record.update
        if system is None:
            return FirmwareAnswer(slots=False)
        view = None
        if update is not None:
            view = UpdateView(update.state, update.percent, update.text, update.version, update.source, update.is_over)
        return FirmwareAnswer(
            slots=True,
            slot=system.slot,
            version=system.version,
            trial=system.trial,
            fell_back=system.fell_back,
            update=view,
        )

    def _upload(self, request: UploadRequest, caller: Caller) -> UploadAnswer:
        if self._slots.system() is None:
            raise InputError(_NO_SLOTS)
        update = self._record.update
        if self._intake.is_open:
            raise InputError("somebody hands over an update right now; wait a minute, or give it up")
        if update is not None and not update.is_over and (update.source, update.state) != ("page", "fetching"):
            raise InputError("another update is under way; wait until it is over, or give it up")
        self._slots.incoming.unlink(missing_ok=True)
        room = self._slots.free_bytes()
        if request.size_bytes > room:
            raise InputError(f"the update has {request.size_bytes} bytes and there is room for {room}")
        upload_id = self._intake.begin(request.size_bytes)
        self._set(
            Update(
                upload_id,
                "page",
                request.size_bytes,
                allow_older=request.allow_older,
                during_sessions=request.during_sessions,
            )
        )
        self._event("firmware", f"an update is handed over by {caller.name}")
        self._start()
        return UploadAnswer(upload_id=upload_id)

    async def _piece(self, request: UploadPieceRequest, caller: Caller) -> FirmwareAnswer:
        try:
            complete = await self._intake.take(request.upload_id, request.offset, request.data)
        except StateError as error:
            if self._record.update is not None:
                self._set(self._record.update.now("failed", str(error)))
            raise
        update = self._record.update
        if update is not None and update.update_id == request.upload_id:
            if complete:
                self._slots.incoming.replace(self._slots.bundle)
                self._set(update.now("waiting"))
                self._start()
            else:
                self._set(update.now("fetching", percent=self._intake.offset * 100 // update.size_bytes))
        return self._answer(FirmwareRequest(), caller)

    async def _cancel(self, request: CancelUpdateRequest, caller: Caller) -> FirmwareAnswer:
        update = self._record.update
        if update is not None and not update.is_over:
            if update.state in ("installing", "restarting"):
                raise InputError("it is being installed; it cannot be given up any more")
            await self._stop()
            self._intake.close()
            self._set(update.now("failed", f"given up by {caller.name}"))
        return self._answer(FirmwareRequest(), caller)

    # From a bundle to a system

    def _start(self) -> None:
        if self._work is None or self._work.done():
            self._work = asyncio.create_task(self._run())

    async def _stop(self) -> None:
        if self._work is not None:
            self._work.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._work
            self._work = None

    async def _run(self) -> None:
        while (update := self._record.update) is not None and not update.is_over:
            try:
                await self._step(update)
            except (GatelinkError, OSError) as error:
                self._set(update.now("failed", str(error)))
        offer, self._next = self._next, None
        if offer is not None:
            self._work = None
            self._accept(offer)

    async def _step(self, update: Update) -> None:
        match update.state:
            case "fetching":
                await self._fetch(update)
            case "waiting":
                await self._until_free(update)
                system = self._slots.system()
                if system is None:
                    raise StateError(_NO_SLOTS)
                if not self._slots.bundle.exists():
                    raise StateError("the update is not on the data partition any more; hand it over again")
                begun = msgspec.structs.replace(update, from_slot=system.slot)
                self._set(begun.now("installing"))
                self._slots.install(update.update_id, allow_older=update.allow_older)
            case "installing":
                await self._install(update)
            case _:
                await self._restart(update)

    async def _fetch(self, update: Update) -> None:
        if update.source == "page":
            await self._hand_over(update)
            return
        room = self._slots.free_bytes()
        if update.size_bytes > room + _size(self._slots.incoming):
            raise StateError(f"the update has {update.size_bytes} bytes and there is room for {room}")
        try:
            right = await self._fetching.fetch(update, self._slots.incoming, self._percent)
        except Withdrawn as error:
            self._set(update.now("failed", str(error)))
            return
        current = self._record.update
        if current is None or current.update_id != update.update_id:
            return
        if right:
            self._slots.incoming.replace(self._slots.bundle)
            self._set(current.now("waiting"))
            return
        self._slots.incoming.unlink(missing_ok=True)
        if current.fetched_twice:
            self._set(current.now("failed", "what arrived is not what was offered: its digest is wrong, twice"))
        else:
            again = msgspec.structs.replace(current, fetched_twice=True)
            self._set(again.now("fetching", "what arrived was damaged; it is fetched once more"))

    async def _hand_over(self, update: Update) -> None:
        """While somebody sends by the page; a browser that was closed makes room again."""
        while (now := self._record.update) is not None and now.update_id == update.update_id:
            if now.state != "fetching":
                return
            if not self._intake.is_open:
                self._set(now.now("failed", "the upload ended before all of it was there; begin it again"))
                return
            await asyncio.sleep(self._look_s)

    async def _until_free(self, update: Update) -> None:
        while self._is_busy() and not update.during_sessions:
            if not update.text:
                update = update.now(update.state, "somebody is connected; it goes on when nobody is", update.percent)
                self._set(update)
            await asyncio.sleep(self._look_s)

    async def _install(self, update: Update) -> None:
        asked_at = times.steady_s()
        while True:
            found = self._slots.installation()
            if found.update_id != update.update_id:
                if times.steady_s() - asked_at > GUARD_S:
                    raise StateError("the guard did not begin the installation; restart the unit and try again")
                found = Installation()
            if found.state == "refused":
                self._set(update.now("refused", found.reason))
                return
            if found.state == "installed":
                self._set(update.now("restarting", "", 100))
                return
            self._percent(found.percent)
            await asyncio.sleep(self._look_s)

    async def _restart(self, update: Update) -> None:
        system = self._slots.system()
        if system is not None and system.slot != update.from_slot:
            self._try(update, system)
        else:
            await self._until_free(update)
            self._report("the update is installed; the unit restarts")
            self._slots.restart()
        # The restart ends this; a trial ends with the guard's word.
        await asyncio.sleep(GUARD_S if system is None or system.slot == update.from_slot else self._look_s)

    def _try(self, update: Update, system: System) -> None:
        now = tried(update, system)
        if now != update:
            self._set(now)

    # What is told

    def _percent(self, percent: int) -> None:
        update = self._record.update
        if update is not None and percent != update.percent:
            self._set(msgspec.structs.replace(update, percent=percent))

    def _set(self, update: Update) -> None:
        before = self._record.update
        try:
            self._record.keep(update)
        except StateError as error:
            self._report(str(error))
        if before is None or (before.state, before.text) != (update.state, update.text):
            self._report(f"update: {update.state}{f': {update.text}' if update.text else ''}")
        if update.is_over and (before is None or before.update_id != update.update_id or not before.is_over):
            self._ended_at = times.steady_s()
            self._intake.close()
            for path in (self._slots.incoming, self._slots.bundle):
                with contextlib.suppress(OSError):
                    path.unlink(missing_ok=True)
            self._event("firmware", f"{update.state}: {update.text}"[:500])
            system = self._slots.system()
            if system is not None:
                self._show(system)
        self._tell()

    def _show(self, system: System) -> None:
        """The GateManager shows what runs."""
        self._appliance.hardware = system.board
        self._appliance.firmware, self._appliance.slot = system.version, system.slot
        self._appliance.changed()

    def _tell(self, *, anew: bool = False) -> None:
        update = self._record.update
        if update is None or update.source != "gm":
            return
        now = times.steady_s()
        message = FirmwareProgress(
            bundle_id=update.bundle_id, state=update.state, percent=update.percent, text=update.text
        )
        told = self._told
        is_percent_alone = told is not None and msgspec.structs.replace(told, percent=message.percent) == message
        if not anew and (message == told or (is_percent_alone and now - self._told_at < TELL_S)):
            return
        if self._line.tell(message):
            self._told, self._told_at = message, now

    def _say_of(self, offer: FirmwareOffer, state: FirmwareState, text: str) -> None:
        """About an offer that is not the update under way."""
        self._report(f"the GateManager offers version {offer.version}: {state}: {text}")
        self._line.tell(FirmwareProgress(bundle_id=offer.bundle_id, state=state, text=text))

    def _connected(self, welcome: Welcome) -> None:
        del welcome
        update = self._record.update
        if update is not None and update.is_over:
            self._ended_at = times.steady_s()
        self._tell(anew=True)


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0

"""Takes updates on, one at a time: what the GateManager offers and what the set-up page hands over."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from collections.abc import Callable
from typing import Final

from gatelink.exceptions import InputError
from gatelink.messages import FirmwareOffer
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
from sitemanager.core.updates import MAX_BUNDLE_BYTES, NO_SLOTS, System, Update, objection, resumed
from sitemanager.exceptions import StateError
from sitemanager.host import times
from sitemanager.host.slots import Slots
from sitemanager.services.appliance_status import ApplianceReport
from sitemanager.services.desk import Desk
from sitemanager.services.gm_line import GmLine

from .course import Course
from .fetching import Fetching
from .intake import Intake
from .ledger import Ledger
from .record import Record

LOOK_S: Final = 1.0
"""Between two looks at the guard, and at sessions that are waited for."""


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
        self._event = event
        self._look_s = look_s
        self._ledger = Ledger(record, slots, line, appliance, report, event)
        self._intake = Intake(slots.incoming, times.steady_s)
        self._course = Course(slots, self._ledger, Fetching(line), self._intake, is_busy, look_s)
        self._next: FirmwareOffer | None = None
        """Offered while another update could not be put off any more."""
        self._beginning: asyncio.Task[None] | None = None
        self._replacing: asyncio.Task[None] | None = None
        self._work: asyncio.Task[None] | None = None
        line.on(FirmwareOffer, self._offered)
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
            await _ended(task)
        self._intake.close()

    async def _begin(self) -> None:
        """The guard may need a moment to say what runs; where there is none, it is looked for all the same."""
        while (system := self._slots.system()) is None:  # noqa: ASYNC110 - the guard is another program
            await asyncio.sleep(self._look_s * 5)
        self._ledger.show(system)
        update = self._ledger.update
        if update is not None and not update.is_over:
            self._ledger.set(resumed(update, system, self._slots.installation()))
            self._start()

    def _start(self) -> None:
        if self._work is None or self._work.done():
            self._work = asyncio.create_task(self._run())

    async def _run(self) -> None:
        await self._course.run()
        offer, self._next = self._next, None
        if offer is not None:
            self._work = None
            self._accept(offer)

    # What the GateManager offers

    def _offered(self, offer: FirmwareOffer) -> None:
        update = self._ledger.update
        if update is not None and update.bundle_id == offer.bundle_id:
            if not update.is_over or self._ledger.has_just_ended:
                self._ledger.tell(anew=True)
                return
        elif update is not None and not update.is_over:
            if update.source != "gm" or update.state in ("installing", "restarting"):
                self._next = offer
                self._ledger.answer(offer, "waiting", "another update is under way")
                return
            self._ledger.set(update.now("failed", "another update was offered in its place"))
        self._next = None
        if self._replacing is not None:
            self._replacing.cancel()
        self._replacing = asyncio.get_running_loop().create_task(self._replace(offer))

    async def _replace(self, offer: FirmwareOffer) -> None:
        await _ended(self._work)
        self._work = None
        self._accept(offer)

    def _accept(self, offer: FirmwareOffer) -> None:
        system, before = self._slots.system(), self._ledger.update
        if no := _objection(offer, system):
            self._ledger.answer(offer, "refused", no)
            return
        if system is not None and system.version == offer.version and not system.trial:
            self._ledger.answer(offer, "good", f"version {offer.version} runs already")
            return
        if before is None or before.sha256 != offer.sha256:
            self._slots.incoming.unlink(missing_ok=True)
        update = Update(
            secrets.token_hex(8),
            "gm",
            offer.size_bytes,
            bundle_id=offer.bundle_id,
            version=offer.version,
            sha256=offer.sha256,
            allow_older=offer.allow_older,
            during_sessions=offer.during_sessions,
        )
        self._ledger.set(update)
        self._start()

    # What the set-up page asks

    def _answer(self, request: FirmwareRequest, caller: Caller) -> FirmwareAnswer:
        del request, caller
        system, update = self._slots.system(), self._ledger.update
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
            raise InputError(NO_SLOTS)
        update = self._ledger.update
        if self._intake.is_open:
            raise InputError("somebody hands over an update right now; wait a minute, or give it up")
        if update is not None and not update.is_over and (update.source, update.state) != ("page", "fetching"):
            raise InputError("another update is under way; wait until it is over, or give it up")
        self._slots.incoming.unlink(missing_ok=True)
        room = self._slots.free_bytes()
        if request.size_bytes > room:
            raise InputError(f"the update has {request.size_bytes} bytes and there is room for {room}")
        upload_id = self._intake.begin(request.size_bytes)
        self._ledger.set(
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
            if self._ledger.update is not None:
                self._ledger.set(self._ledger.update.now("failed", str(error)))
            raise
        update = self._ledger.update
        if update is not None and update.update_id == request.upload_id and not update.is_over:
            if complete:
                self._slots.incoming.replace(self._slots.bundle)
                self._ledger.set(update.now("waiting"))
            else:
                self._ledger.set_percent(self._intake.offset * 100 // update.size_bytes)
        return self._answer(FirmwareRequest(), caller)

    async def _cancel(self, request: CancelUpdateRequest, caller: Caller) -> FirmwareAnswer:
        del request
        update = self._ledger.update
        if update is not None and not update.is_over:
            if update.state in ("installing", "restarting"):
                raise InputError("it is being installed; it cannot be given up any more")
            await _ended(self._work)
            self._work = None
            self._intake.close()
            self._ledger.set(update.now("failed", f"given up by {caller.name}"))
        return self._answer(FirmwareRequest(), caller)


def _objection(offer: FirmwareOffer, system: System | None) -> str:
    """Why an offer is not taken; empty if it is."""
    if system is None:
        return NO_SLOTS
    if not 0 < offer.size_bytes <= MAX_BUNDLE_BYTES:
        return f"an update of {offer.size_bytes} bytes cannot be one; at most {MAX_BUNDLE_BYTES} are taken"
    return objection(offer.version, system, allow_older=offer.allow_older)


async def _ended(task: asyncio.Task[None] | None) -> None:
    if task is not None:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task

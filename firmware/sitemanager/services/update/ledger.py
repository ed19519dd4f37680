"""Keeps the state of the update and tells it: to the log, the audit log, and the GateManager that offered it."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Final

import msgspec

from gatelink.messages import FirmwareOffer, FirmwareProgress, Welcome
from gatelink.messages.appliance import FirmwareState
from sitemanager.core.updates import System, Update
from sitemanager.exceptions import StateError
from sitemanager.host import times
from sitemanager.host.slots import Slots
from sitemanager.services.appliance_status import ApplianceReport
from sitemanager.services.gm_line import GmLine

from .record import Record

TELL_S: Final = 3.0
"""Between two messages about mere percents."""
AGAIN_S: Final = 60.0
"""An offer of what ended so short a time ago crossed the news of its end: it is answered, not begun again."""


class Ledger:
    """``event`` takes audit entries (kind, text)."""

    def __init__(
        self,
        record: Record,
        slots: Slots,
        line: GmLine,
        appliance: ApplianceReport,
        report: Callable[[str], None],
        event: Callable[[str, str], None],
    ) -> None:
        self._record = record
        self._slots = slots
        self._line = line
        self._appliance = appliance
        self._report = report
        self._event = event
        self._told: FirmwareProgress | None = None
        self._told_at = 0.0
        self._ended_at: float | None = None
        line.on_connected(self._connected)

    @property
    def update(self) -> Update | None:
        """The one under way, or the last one."""
        return self._record.update

    @property
    def has_just_ended(self) -> bool:
        """Whether the GateManager may not have heard yet how the last one ended."""
        return self._ended_at is not None and times.steady_s() - self._ended_at < AGAIN_S

    def set(self, update: Update) -> None:
        """Keep a new state, and tell it."""
        before = self._record.update
        try:
            self._record.keep(update)
        except StateError as error:
            self._report(str(error))
        if before is None or (before.state, before.text) != (update.state, update.text):
            self._report(f"update: {update.state}{f': {update.text}' if update.text else ''}")
        if update.is_over and (before is None or before.update_id != update.update_id or not before.is_over):
            self._end(update)
        self.tell()

    def set_percent(self, percent: int) -> None:
        """Note how far the present step is."""
        update = self._record.update
        if update is not None and percent != update.percent:
            self.set(msgspec.structs.replace(update, percent=percent))

    def show(self, system: System) -> None:
        """The GateManager shows what runs."""
        self._appliance.hardware = system.board
        self._appliance.firmware, self._appliance.slot = system.version, system.slot
        self._appliance.changed()

    def tell(self, *, anew: bool = False) -> None:
        """Tell the GateManager what it has not heard; ``anew``: also what it has."""
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

    def answer(self, offer: FirmwareOffer, state: FirmwareState, text: str) -> None:
        """Tell of an offer that is not the update under way."""
        self._report(f"the GateManager offers version {offer.version}: {state}: {text}")
        if state == "refused":
            self._event("firmware", f"refused: {text}"[:500])
        self._line.tell(FirmwareProgress(bundle_id=offer.bundle_id, state=state, text=text))

    def _end(self, update: Update) -> None:
        self._ended_at = times.steady_s()
        for path in (self._slots.incoming, self._slots.bundle):
            with contextlib.suppress(OSError):
                path.unlink(missing_ok=True)
        self._event("firmware", f"{update.state}: {update.text}"[:500])
        system = self._slots.system()
        if system is not None:
            self.show(system)

    def _connected(self, welcome: Welcome) -> None:
        del welcome
        update = self._record.update
        if update is not None and update.is_over:
            self._ended_at = times.steady_s()
        self.tell(anew=True)

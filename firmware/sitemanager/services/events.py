"""Brings alarms and audit entries to the GateManager: in order, and again until it says that it has them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from gatelink.messages import ApplianceEvent, EventsKept, Welcome
from sitemanager.exceptions import StateError
from sitemanager.host.outbox import Outbox

from .gm_line import GmLine

MOST_UNDERWAY: Final = 32
"""Sent and not acknowledged yet: a GateManager that comes back after weeks is not flooded."""


class Events:
    """Between the outbox and the line."""

    def __init__(self, outbox: Outbox, line: GmLine, report: Callable[[str], None]) -> None:
        self._outbox = outbox
        self._line = line
        self._report = report
        self._sent = 0
        """Number of the last event that went over the present connection."""
        line.on(EventsKept, self._kept)
        line.on_connected(self._connected)

    @property
    def waiting(self) -> int:
        """How many the GateManager has not acknowledged."""
        return len(self._outbox)

    def record(self, kind: str, text: str) -> None:
        """Keep an entry and send it now or later."""
        try:
            self._outbox.enqueue(kind, text)
        except StateError as error:
            self._report(f"an entry for the GateManager is lost ({kind}: {text}): {error}")
        self._send()

    def _connected(self, welcome: Welcome) -> None:
        del welcome
        self._sent = 0
        self._send()

    def _kept(self, message: EventsKept) -> None:
        try:
            self._outbox.acknowledge(message.number)
        except StateError as error:
            self._report(str(error))
        self._send()

    def _send(self) -> None:
        for event in self._outbox.pending(MOST_UNDERWAY):
            if event.number <= self._sent:
                continue
            message = ApplianceEvent(number=event.number, kind=event.kind, at=max(0.0, event.at), text=event.text)
            if not self._line.tell(message):
                return
            self._sent = event.number

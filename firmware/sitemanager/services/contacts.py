"""Inputs and outputs at the machine: the key switch that locks, alarm contacts, lamps and relays.

Fails closed: a contact that opens, a wire that is cut, a line that cannot be read and a chip that is gone all lock, and
so does an input that cannot be opened at all. It is tried again until it can be read.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from typing import Final

import msgspec

from sitemanager.config import Config, InputConfig, OutputConfig
from sitemanager.core.status import Status
from sitemanager.host.gpio import InputLine, OpenInput, OpenLed, OpenOutput, OutputLine

from .remote_access import RemoteAccess

AGAIN_S: Final = 5.0
"""Between two attempts to open what failed."""
REFRESH_S: Final = 1.0
"""Between two looks at what outputs show, and at contacts: a change is told at once, a dead chip tells nothing."""


class Openers(msgspec.Struct, frozen=True):
    """How lines are opened."""

    input: OpenInput
    output: OpenOutput
    led: OpenLed


class Contacts:
    """A part: see ``services.parts``."""

    def __init__(
        self,
        access: RemoteAccess,
        status: Callable[[], Status],
        report: Callable[[str], None],
        record: Callable[[str, str], None],
        openers: Openers | None = None,
    ) -> None:
        self._access = access
        self._status = status
        self._report = report
        self._record = record
        self._openers = openers or _linux()
        self._inputs: list[_Contact] = []
        self._outputs: list[_Output] = []
        self._config: object = ((), ())
        self._work: asyncio.Task[None] | None = None
        access.switch_reason = self._switch_reason

    async def use(self, config: Config) -> None:
        """Open the lines of the configuration."""
        if (config.inputs, config.outputs) == self._config:
            return
        self._config = (config.inputs, config.outputs)
        was = self._access.reason()
        await self._stop()
        self._inputs = [_Contact(entry, self._openers, self._changed) for entry in config.inputs]
        self._outputs = [_Output(entry, self._openers) for entry in config.outputs]
        for part in self._lines:
            self._note(part.open())
        if self._inputs or self._outputs:
            self._work = asyncio.create_task(self._run())
        if self._access.reason() != was:
            self._access.changed()

    async def close(self) -> None:
        """Let all lines go; outputs fall back to off."""
        await self._stop()
        self._inputs, self._outputs = [], []

    async def _stop(self) -> None:
        task, self._work = self._work, None
        if task is not None:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
        for part in self._lines:
            part.close()

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        tried_at = loop.time()
        while True:
            self._show()
            for contact in self._inputs:
                contact.look()
            if loop.time() - tried_at > AGAIN_S:
                tried_at = loop.time()
                for part in self._lines:
                    if part.failure:
                        self._note(part.open())
            await asyncio.sleep(REFRESH_S)

    @property
    def _lines(self) -> list[_Contact | _Output]:
        return [*self._inputs, *self._outputs]

    def _show(self) -> None:
        if not self._outputs:
            return
        status = self._status()
        lit = {
            "power": True,
            "uplink": status.connected or bool(status.way),
            "gm": status.connected,
            "session": bool(status.sessions),
            "locked": status.locked is not None,
        }
        for output in self._outputs:
            self._note(output.show(on=lit[output.entry.shows]))

    def _switch_reason(self) -> str | None:
        for contact in self._inputs:
            if contact.entry.use == "unlock-key" and not contact.closed:
                name = contact.entry.name
                if contact.failure:
                    return f"the key switch {name} cannot be read: {contact.failure}"
                return f"the key switch {name} is open"
        return None

    def _changed(self, contact: _Contact) -> None:
        words = "closed" if contact.closed else f"cannot be read: {contact.failure}" if contact.failure else "open"
        self._record("input", f"the contact {contact.entry.name} ({contact.entry.use}) is {words}")
        if contact.entry.use == "unlock-key":
            self._access.changed()

    def _note(self, complaint: str) -> None:
        if complaint:
            self._report(complaint)


class _Contact:
    """One input. ``closed`` is False whenever that is not certain."""

    def __init__(self, entry: InputConfig, openers: Openers, changed: Callable[[_Contact], None]) -> None:
        self.entry = entry
        self.closed = False
        self.failure = ""
        self._openers = openers
        self._changed = changed
        self._line: InputLine | None = None

    def open(self) -> str:
        """Open it; returns a complaint that is new."""
        self.close()
        entry = self.entry
        try:
            self._line = self._openers.input(entry.chip, entry.line, entry.closed_is == "low", entry.debounce_ms)
            asyncio.get_running_loop().add_reader(self._line.fileno(), self._on_event)
        except OSError as error:
            before, self.failure = self.failure, str(error)
            return "" if before == self.failure else f"the input {entry.name} cannot be used: {error}"
        self.failure = ""
        self.look()
        return ""

    def look(self) -> None:
        """Read the level; whatever cannot be read is open."""
        if self._line is None:
            return
        was = self.closed
        try:
            self.closed = self._line.is_closed()
        except OSError as error:
            self.close()
            self.failure = str(error)
        if self.closed != was:
            self._changed(self)

    def close(self) -> None:
        """Let it go."""
        line, self._line = self._line, None
        self.closed = False
        if line is not None:
            asyncio.get_running_loop().remove_reader(line.fileno())
            with contextlib.suppress(OSError):
                line.close()

    def _on_event(self) -> None:
        if self._line is not None:
            with contextlib.suppress(OSError):
                # What is wrong with the line shows when it is read.
                self._line.drain()
            self.look()


class _Output:
    """One LED or relay."""

    def __init__(self, entry: OutputConfig, openers: Openers) -> None:
        self.entry = entry
        self.failure = ""
        self._openers = openers
        self._line: OutputLine | None = None
        self._on: bool | None = None

    def open(self) -> str:
        """Open it; returns a complaint that is new."""
        self.close()
        entry = self.entry
        try:
            self._line = (
                self._openers.led(entry.led)
                if entry.led
                else self._openers.output(entry.chip, entry.line, entry.on_is == "low")
            )
        except OSError as error:
            before, self.failure = self.failure, str(error)
            return "" if before == self.failure else f"the output {entry.name} cannot be used: {error}"
        self.failure = ""
        return ""

    def show(self, *, on: bool) -> str:
        """Switch it where it is not like that already; returns a complaint."""
        if self._line is None or on == self._on:
            return ""
        try:
            self._line.set(on=on)
        except OSError as error:
            self.close()
            self.failure = str(error)
            return f"the output {self.entry.name} cannot be used: {error}"
        self._on = on
        return ""

    def close(self) -> None:
        """Let it go."""
        line, self._line, self._on = self._line, None, None
        if line is not None:
            with contextlib.suppress(OSError):
                line.close()


def _linux() -> Openers:
    from sitemanager.host.gpio.leds import Led
    from sitemanager.host.gpio.lines import GpioInput, GpioOutput

    return Openers(GpioInput, GpioOutput, Led)

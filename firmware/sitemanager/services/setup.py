"""Makes the unit known to a GateManager while the daemon runs: by the page, by a file, by ``sm enrol``.

What was begun goes on over restarts: a unit that waits to be adopted asks again, a claim from a file is tried until the
GateManager was reached. Only one at a time, and none once the unit is enrolled.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from typing import Any, Literal

from gatelink.backoff import Backoff
from gatelink.certificates import fingerprint_text
from gatelink.claims import Claim, parse_claim
from gatelink.exceptions import GatelinkError, InputError, LinkError
from gatelink.link.endpoints import check_address
from sitemanager.config import Config
from sitemanager.core.local_requests import EnrolmentAnswer, EnrolRequest
from sitemanager.host.state import State, Waiting

from .enrolment import redeem, wait_for_adoption

Phase = Literal["none", "trying", "waiting", "enrolled", "failed"]


class Setup:
    """Owner of the enrolment. ``config`` gives the one in force."""

    def __init__(self, state: State, config: Callable[[], Config], report: Callable[[str], None]) -> None:
        self._state = state
        self._config = config
        self._report = report
        self._phase: Phase = "enrolled" if state.is_enrolled else "none"
        self._text = ""
        self._address = ""
        self._task: asyncio.Task[None] | None = None
        self._enrolled = asyncio.Event()
        self.on_result: Callable[[str], None] = lambda text: None
        """Hears how an enrolment ended, or that it goes on."""
        if state.is_enrolled:
            self._enrolled.set()

    def begin(self, request: EnrolRequest) -> None:
        """Begin an enrolment that a person waits for. Raises InputError at once if it cannot be."""
        self._check_free()
        if request.claim:
            self.redeem(parse_claim(request.claim, "appliance"), patient=False)
        else:
            self.ask_for_place(check_address(request.address.strip()))

    def redeem(self, claim: Claim, *, patient: bool) -> None:
        """Redeem a claim; ``patient``: until the GateManager was reached. Raises InputError."""
        self._check_free()
        self._start("trying", claim.addresses[0], self._redeem(claim, patient=patient))

    def ask_for_place(self, address: str) -> None:
        """Trust this GateManager as it comes, and wait to be adopted. Raises InputError, StateError."""
        self._check_free()
        if self._state.waiting() != Waiting((address,)):
            # Another GateManager than the one that was asked before: its pin is not this one's.
            self._state.reset()
            self._state.save_waiting(Waiting((address,)))
        self._start("waiting", address, self._wait())

    def resume(self) -> None:
        """Go on where an earlier run was."""
        claim = self._state.pending_claim()
        if self._phase != "enrolled" and claim:
            try:
                self.redeem(parse_claim(claim, "appliance"), patient=True)
            except InputError as error:
                self._phase, self._text = "failed", str(error)
                self._report(f"the claim that was put here by a file cannot be used: {error}")
            return
        waiting = self._state.waiting()
        if self._phase != "enrolled" and waiting is not None and waiting.addresses:
            self._start("waiting", waiting.addresses[0], self._wait())

    async def cancel(self) -> None:
        """Give up, so that another one can be begun. Raises InputError once the unit is enrolled."""
        if self._enrolled.is_set():
            raise InputError("this unit is enrolled; to begin anew, let it forget its GateManager")
        await self.close()
        if self._enrolled.is_set():
            return
        self._state.reset()
        self._phase, self._text, self._address = "none", "", ""

    async def until_enrolled(self) -> None:
        """Wait until the unit is enrolled."""
        await self._enrolled.wait()

    async def close(self) -> None:
        """Stop trying; it goes on at the next start."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    def answer(self) -> EnrolmentAnswer:
        """Return how it goes."""
        pin = self._state.pin()
        identity = self._state.is_enrolled
        return EnrolmentAnswer(
            phase=self._phase,
            text=self._text,
            address=self._address,
            pin_serial=pin.serial if pin else "",
            pin_key=fingerprint_text(pin.key_sha256) if pin else "",
            pin_how=pin.how if pin else "",
            key="" if identity else fingerprint_text(self._state.key_sha256()),
        )

    def _check_free(self) -> None:
        if self._phase == "enrolled":
            raise InputError(f"this unit is enrolled already, as {self._state.known().name!r}")
        if self._task is not None and not self._task.done():
            raise InputError("an enrolment is under way; cancel it first")

    def _start(self, phase: Phase, address: str, work: Any) -> None:
        self._phase, self._text, self._address = phase, "", address
        self._task = asyncio.create_task(self._guarded(work))

    async def _guarded(self, work: Any) -> None:
        try:
            await work
        except GatelinkError as error:
            self._phase, self._text = "failed", str(error)
            self._report(f"the enrolment failed: {error}")
            self.on_result(f"failed: {error}")
            return
        known = self._state.known()
        self._phase, self._text = "enrolled", f"enrolled as {known.name}{f' in {known.domain}' if known.domain else ''}"
        self._report(self._text)
        self.on_result(self._text)
        self._enrolled.set()

    async def _redeem(self, claim: Claim, *, patient: bool) -> None:
        backoff = Backoff(random.uniform, longest_s=self._config().backoff_longest_s)
        while True:
            try:
                await redeem(self._state, self._config(), claim)
            except LinkError as error:
                if not patient:
                    raise
                self._text = str(error)
                delay_s = backoff.next_delay_s()
                self._report(f"cannot redeem the claim yet: {error}; next attempt in {delay_s:.0f} s")
                await asyncio.sleep(delay_s)
            else:
                return

    async def _wait(self) -> None:
        await wait_for_adoption(self._state, self._config(), self._note)

    def _note(self, text: str) -> None:
        self._text = text
        self._report(text)

"""Scans of the device network, asked for at the machine or by the GateManager; one at a time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

from gatelink.exceptions import InputError
from gatelink.messages import FoundDevice, Scan, ScanResult
from sitemanager.config import Config
from sitemanager.core.local import Caller
from sitemanager.core.scan_requests import ScanAnswer, ScanRequest
from sitemanager.exceptions import NetworkError

from .desk import Desk
from .gm_line import GmLine
from .network_state import NetworkState
from .scanner import Scanner

DEADLINE_S: Final = 110.0
_PART: Final = 32
"""Devices in one message: far below what fits a frame."""


class Discovery:
    """A part: see ``services.parts``."""

    def __init__(self, line: GmLine, desk: Desk, network: NetworkState, report: Callable[[str], None]) -> None:
        self._line = line
        self._network = network
        self._report = report
        self._interfaces: tuple[str, ...] = ()
        self._turn = asyncio.Lock()
        self._tasks: set[asyncio.Task[None]] = set()
        line.on(Scan, self._asked)
        desk.register(ScanRequest, self._request, deadline_s=DEADLINE_S)

    async def use(self, config: Config) -> None:
        """Look at these interfaces from now on."""
        self._interfaces = config.dev_interfaces

    async def close(self) -> None:
        """End a scan."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def scan(self) -> ScanAnswer:
        """Look now. Raises InputError, NetworkError."""
        if not self._interfaces:
            raise InputError("there is no machine side to look at: set dev_interfaces first")
        if self._turn.locked():
            raise InputError("a scan is going on: wait for it")
        async with self._turn, asyncio.timeout(DEADLINE_S):
            networks = await self._network.known_networks()
            found: list[FoundDevice] = []
            notes: list[str] = []
            for interface in self._interfaces:
                scanner = Scanner(interface, networks)
                try:
                    found += await scanner.run()
                except NetworkError as error:
                    notes.append(str(error))
                notes += scanner.notes
            self._report(f"scan of {', '.join(self._interfaces)}: {len(found)} devices")
            return ScanAnswer(found=tuple(found), text="; ".join(notes)[:512])

    def _asked(self, message: Scan) -> None:
        task = asyncio.create_task(self._answer_gm(message.request_id))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _answer_gm(self, request_id: int) -> None:
        try:
            answer = await self.scan()
        except (InputError, NetworkError) as error:
            self._line.tell(ScanResult(request_id=request_id, found=(), finished=True, text=str(error)[:512]))
            return
        except TimeoutError:
            answer = ScanAnswer(found=(), text="the scan took too long")
        parts = [answer.found[at : at + _PART] for at in range(0, len(answer.found), _PART)] or [()]
        for number, part in enumerate(parts):
            is_last = number == len(parts) - 1
            text = answer.text if is_last else ""
            self._line.tell(ScanResult(request_id=request_id, found=part, finished=is_last, text=text))

    async def _request(self, request: ScanRequest, caller: Caller) -> ScanAnswer:
        del request, caller
        return await self.scan()

"""Records packets of the machine side, bounded in time and size, for whoever asks at the machine. One at a time."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Final

from gatelink.exceptions import InputError
from sitemanager.config import Config
from sitemanager.core.capture import CaptureAnswer, CaptureRequest, PcapFile
from sitemanager.core.local import Caller
from sitemanager.host import times
from sitemanager.host.probes.ethernet import EthernetPort

from .desk import Desk

DEADLINE_S: Final = 70.0
_ETH_P_ALL: Final = 3


class Capture:
    """A part: see ``services.parts``."""

    def __init__(self, desk: Desk) -> None:
        self._interfaces: tuple[str, ...] = ()
        self._turn = asyncio.Lock()
        desk.register(CaptureRequest, self._capture, deadline_s=DEADLINE_S)

    async def use(self, config: Config) -> None:
        """These interfaces may be recorded."""
        self._interfaces = config.dev_interfaces

    async def close(self) -> None:
        """Nothing is left."""

    async def _capture(self, request: CaptureRequest, caller: Caller) -> CaptureAnswer:
        del caller
        interface = request.interface or next(iter(self._interfaces), "")
        if interface not in self._interfaces:
            known = ", ".join(self._interfaces) or "none: set dev_interfaces first"
            raise InputError(f"only the machine side can be recorded ({known}), not {interface or 'nothing'}")
        if self._turn.locked():
            raise InputError("a capture is going on: wait for it")
        async with self._turn:
            file, full = PcapFile(), asyncio.Event()

            def hear(frame: bytes) -> None:
                file.add(frame, times.system_unix_s())
                if file.is_full:
                    full.set()

            with contextlib.closing(EthernetPort(interface, _ETH_P_ALL, hear)), contextlib.suppress(TimeoutError):
                async with asyncio.timeout(request.seconds):
                    await full.wait()
            return CaptureAnswer(pcap=file.data, frames=file.frames, full=file.is_full)

"""Checks the devices that the GateManager names, and tells it which can be reached: green or red on its pages."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

from gatelink.messages import DeviceStates, WatchDevices
from gatelink.messages.appliance import DeviceWatch
from sitemanager.config import Config
from sitemanager.core.checks import CheckBook, Finding
from sitemanager.core.device_requests import CheckedDevice, DevicesAnswer, DevicesRequest
from sitemanager.exceptions import NetworkError
from sitemanager.host.probes.connections import check_modbus, check_tcp
from sitemanager.host.probes.ping import ping

from .desk import Desk
from .gm_line import GmLine

TIMEOUT_S: Final = 2.0
AT_ONCE: Final = 4
"""Checks at the same time: a plant's network and its slow PLCs are to notice nothing."""
PAUSE_S: Final = 0.05
"""Between the beginnings of two checks."""


class DeviceChecks:
    """A part: see ``services.parts``. ``now`` is Unix time as far as it is known."""

    def __init__(self, line: GmLine, desk: Desk, report: Callable[[str], None], now: Callable[[], float]) -> None:
        self._line = line
        self._report = report
        self._now = now
        self._book = CheckBook()
        self._period_s = 60.0
        self._task: asyncio.Task[None] | None = None
        self._complained = False
        self._untold = False
        line.on(WatchDevices, self._watch)
        line.on_connected(lambda _: self._forget_told())
        desk.register(DevicesRequest, lambda _request, _caller: self.devices())

    async def use(self, config: Config) -> None:
        """Nothing of the configuration matters here."""

    async def close(self) -> None:
        """End the checks."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    def _forget_told(self) -> None:
        """Another GateManager process may have another database: all states are told with the next list."""
        self._untold = True

    def _watch(self, message: WatchDevices) -> None:
        self._book.watch(message.devices)
        self._period_s = message.period_s
        known = tuple(self._book.states)
        if known and self._untold:
            self._line.tell(DeviceStates(states=known))
        self._untold = False
        if self._task is not None:
            self._task.cancel()
        self._task = asyncio.get_running_loop().create_task(self._run())

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        while self._book.watched:
            next_at = loop.time() + self._period_s
            places = asyncio.Semaphore(AT_ONCE)
            async with asyncio.TaskGroup() as group:
                for watch in self._book.watched:
                    await places.acquire()
                    group.create_task(self._check(watch, places))
                    await asyncio.sleep(PAUSE_S)
            await asyncio.sleep(max(0.0, next_at - loop.time()))

    async def _check(self, watch: DeviceWatch, places: asyncio.Semaphore) -> None:
        try:
            finding = await self._finding(watch)
        except NetworkError as error:
            if not self._complained:
                self._complained = True
                self._report(f"devices cannot be checked: {error}")
            return
        finally:
            places.release()
        news = self._book.note(watch, finding, max(0.0, self._now()))
        if news is not None:
            self._report(f"device {watch.address}: {finding.text}")
            self._line.tell(DeviceStates(states=(news,)))

    async def _finding(self, watch: DeviceWatch) -> Finding:
        if watch.kind == "tcp":
            return await check_tcp(watch.address, watch.port, TIMEOUT_S)
        if watch.kind == "modbus":
            return await check_modbus(watch.address, watch.port or 502, TIMEOUT_S)
        took_s = await ping(watch.address, TIMEOUT_S)
        if took_s is None:
            return Finding(False, "no answer to ping")
        return Finding(True, f"answers ping after {took_s * 1000:.0f} ms")

    def devices(self) -> DevicesAnswer:
        """Return what is known of each device."""
        states = {state.device_id: state for state in self._book.states}
        rows = []
        for watch in self._book.watched:
            state = states.get(watch.device_id)
            check = watch.kind if watch.kind == "ping" else f"{watch.kind} port {watch.port}"
            rows.append(
                CheckedDevice(
                    watch.address,
                    check,
                    None if state is None else state.reachable,
                    0.0 if state is None else state.checked_at,
                    "not checked yet" if state is None else state.text,
                )
            )
        return DevicesAnswer(devices=tuple(sorted(rows, key=lambda row: row.address)))

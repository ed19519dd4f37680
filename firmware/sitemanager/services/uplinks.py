"""Looks after the ways out: tries them, changes over, and lets the link connect anew. Without entries: only reports."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final, TypeVar

import msgspec

from gatelink.exceptions import GatelinkError, InputError
from gatelink.messages import UplinkState
from sitemanager.config import Config
from sitemanager.core.admission import HostNetwork
from sitemanager.core.local import Caller
from sitemanager.core.uplink_requests import UplinksAnswer, UplinksRequest
from sitemanager.core.uplink_settings import UplinkConfig
from sitemanager.core.uplink_views import uplink_state, uplink_view
from sitemanager.core.uplinks import Seen, UplinkChoice
from sitemanager.exceptions import NetworkError
from sitemanager.host.network.uplinks import LinuxUplinks, UplinkHost, reach
from sitemanager.host.state import State

from .appliance_status import ApplianceReport
from .desk import Desk
from .gm_line import GmLine
from .names import use_servers
from .network_state import NetworkState
from .uplink_origins import Origins

T = TypeVar("T")
LOOK_S: Final = 3.0
LEASE_S: Final = 8.0
"""So long a change that is tried waits for a DHCP server: some look first who has the address (dnsmasq: 3 s)."""
STANDBY_PROBE_S: Final = 20.0
MODEM_PROBE_S: Final = 300.0
"""Of one in reserve: a probe by a modem costs money, three kilobytes each."""
_NONE: Final = ("", "", "")


class Uplinks:
    """A part: see ``services.parts``. ``is_connected`` says whether the GateManager is reached just now."""

    def __init__(
        self,
        line: GmLine,
        desk: Desk,
        appliance: ApplianceReport,
        network: NetworkState,
        state: State,
        is_connected: Callable[[], bool],
        report: Callable[[str], None],
        runtime: Path,
        host: UplinkHost | None = None,
        origins: Origins | None = None,
    ) -> None:
        self._line = line
        self._appliance = appliance
        self._network = network
        self._state = state
        self._is_connected = is_connected
        self._report = report
        self._host = host or LinuxUplinks()
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="uplinks")
        self._origins = origins or Origins(runtime, report)
        self._origins.changed = self._look_soon
        self._config = Config()
        self._used: object = None
        self._choice = UplinkChoice(())
        self._seen: dict[str, Seen] = {}
        self._tried_at: dict[str, float] = {}
        self._applied: object = None
        self._way = _NONE
        """Name, own address and gateway of the one in use."""
        self._news = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        appliance.uplinks = self.states
        desk.register(UplinksRequest, self._answer)

    async def use(self, config: Config) -> None:
        """Use these uplinks from now on. Raises NetworkError; InputError if one is in the machine's network now."""
        wanted = (config.uplinks, config.dev_interfaces, config.dev_address)
        is_first, overlapping = self._used is None, self._overlapping()
        if wanted == self._used:
            return
        self._config, self._used = config, wanted
        await self._end()
        await self._origins.use(config.uplinks)
        if not is_first:
            await self._origins.settled(LEASE_S)
        self._choice = UplinkChoice([uplink.name for uplink in config.uplinks], self._choice.active)
        self._seen, self._tried_at, self._applied = {}, {}, None
        before = self._way
        if config.uplinks:
            try:
                # Whether a new one reaches the GateManager takes seconds to learn; who tries a change shall not wait.
                await self._look(is_patient=is_first)
            finally:
                self._task = asyncio.create_task(self._run())
        else:
            self._way = _NONE
            use_servers((), "")
            await self._do(self._host.clean_up)
        if not is_first and self._way != before:
            self._line.reconnect("the ways out were changed")
        if new := self._overlapping() - overlapping:
            name = min(new)
            raise InputError(f"uplink {name}: {self._seen[name].text}; the two networks must differ")

    async def close(self) -> None:
        """Leave the host's own routes as they are without us. Fixed addresses stay: they are no lease of ours."""
        await self._end()
        fixed = [entry for entry in self._origins.wanted() if not entry.uplink.dhcp]
        await self._origins.close()
        if self._config.uplinks:
            await self._do(lambda: self._host.clean_up(fixed))
        self._thread.shutdown()

    def states(self) -> tuple[UplinkState, ...]:
        """Return what the GateManager is told."""
        return tuple(
            uplink_state(uplink, self._seen.get(uplink.name, Seen()), self._choice.active)
            for uplink in self._config.uplinks
        )

    def _answer(self, request: UplinksRequest, caller: Caller) -> UplinksAnswer:
        del request, caller
        views = [
            uplink_view(uplink, self._seen.get(uplink.name, Seen()), self._choice.active)
            for uplink in self._config.uplinks
        ]
        return UplinksAnswer(uplinks=tuple(views))

    def _overlapping(self) -> set[str]:
        return {name for name, seen in self._seen.items() if seen.overlaps}

    def _look_soon(self) -> None:
        self._news.set()

    async def _end(self) -> None:
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def _do(self, step: Callable[[], T]) -> T:
        """One step at the host at a time, in the order in which they are asked: also one that nobody waits for."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, step)

    async def _run(self) -> None:
        while True:
            try:
                async with asyncio.timeout(LOOK_S):
                    await self._news.wait()
            except TimeoutError:
                pass
            self._news.clear()
            try:
                await self._look(is_patient=True)
            except NetworkError as error:
                self._report(f"uplinks: {error}")

    async def _look(self, *, is_patient: bool) -> None:
        config, loop = self._config, asyncio.get_running_loop()
        plant = await self._plant()
        wanted = self._origins.wanted()
        now_seen = await self._do(lambda: self._host.look(wanted, plant))
        for name, seen in now_seen.items():
            known = self._seen.get(name, Seen())
            is_same = seen.is_usable and known.way == seen.way
            self._seen[name] = msgspec.structs.replace(
                seen, reaches=known.reaches if is_same else None, why=known.why if is_same else ""
            )
        self._origins.saw(self._seen)
        # A probe needs its uplink's table.
        await self._apply()
        if is_patient:
            await self._probe(config.uplinks, loop.time())
        before = self._choice.active
        active = self._choice.decide(self._seen, loop.time())
        await self._apply()
        self._note_way(before, active)
        self._appliance.changed()

    def _note_way(self, before: str, active: str) -> None:
        if active != before:
            self._report(f"uplink in use: {active or 'none'}{f' (before: {before})' if before else ''}")
        use_servers(*((self._seen[active].dns, self._interface(active)) if active else ((), "")))
        if active and (way := (active, *self._seen[active].way)) != self._way:
            self._way = way
            if self._is_connected():
                self._line.reconnect(f"the uplink changed to {active}, {way[1]}")

    def _interface(self, name: str) -> str:
        return next(uplink.interface for uplink in self._config.uplinks if uplink.name == name)

    async def _plant(self) -> Sequence[HostNetwork]:
        networks = await self._network.known_networks()
        return [known for known in networks if known.interface in self._config.dev_interfaces]

    async def _apply(self) -> None:
        wanted, seen, active = self._origins.wanted(), dict(self._seen), self._choice.active
        state = ([(uplink.name, uplink.interface, seen[uplink.name].way) for uplink in self._config.uplinks], active)
        if state != self._applied:
            await self._do(lambda: self._host.apply(wanted, seen, active))
            self._applied = state

    async def _probe(self, uplinks: Sequence[UplinkConfig], now: float) -> None:
        results = await asyncio.gather(*(self._try(uplink, now) for uplink in uplinks))
        for uplink, why in zip(uplinks, results, strict=True):
            if why is not None:
                found = msgspec.structs.replace(self._seen[uplink.name], reaches=not why, why=why)
                self._seen[uplink.name] = found

    async def _try(self, uplink: UplinkConfig, now: float) -> str | None:
        """Return why the GateManager is not reached by it; empty if it is, None if there was no look."""
        if not self._seen[uplink.name].is_usable:
            return None
        is_active = uplink.name == self._choice.active
        if is_active and self._is_connected():
            return ""
        period_s = MODEM_PROBE_S if uplink.kind == "modem" else STANDBY_PROBE_S
        active = self._seen.get(self._choice.active)
        in_need = is_active or active is None or not active.is_usable or active.reaches is False
        if not in_need and now - self._tried_at.get(uplink.name, -period_s) < period_s:
            return None
        self._tried_at[uplink.name] = now
        try:
            pin = self._state.pin()
        except GatelinkError:
            return None
        if pin is None:
            return None
        told = self._state.known().gm_addresses
        addresses = tuple(dict.fromkeys((*self._config.gm_addresses, *told)))[:2]
        tries = [
            reach(uplink.interface, address, port, pin) for address in addresses for port in self._config.ports[:3]
        ]
        reasons = await asyncio.gather(*tries)
        return "" if "" in reasons else next(iter(reasons), None)

"""Looks after the ways out: tries them, changes over, and lets the link connect anew. Without entries: only reports."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Final

import msgspec

from gatelink.exceptions import GatelinkError
from gatelink.messages import UplinkState
from sitemanager.config import Config
from sitemanager.core.admission import HostNetwork
from sitemanager.core.uplinks import Seen, UplinkChoice, UplinkConfig
from sitemanager.exceptions import NetworkError
from sitemanager.host.network.uplinks import LinuxUplinks, reaches
from sitemanager.host.state import State

from .appliance_status import ApplianceReport
from .gm_line import GmLine
from .network_state import NetworkState

LOOK_S: Final = 3.0
STANDBY_PROBE_S: Final = 20.0
MODEM_PROBE_S: Final = 300.0
"""Of one in reserve: a probe by a modem costs money, three kilobytes each."""


class Uplinks:
    """A part: see ``services.parts``. ``is_connected`` says whether the GateManager is reached just now."""

    def __init__(
        self,
        line: GmLine,
        appliance: ApplianceReport,
        network: NetworkState,
        state: State,
        is_connected: Callable[[], bool],
        report: Callable[[str], None],
    ) -> None:
        self._line = line
        self._appliance = appliance
        self._network = network
        self._state = state
        self._is_connected = is_connected
        self._report = report
        self._host = LinuxUplinks()
        self._config = Config()
        self._choice = UplinkChoice(())
        self._seen: dict[str, Seen] = {}
        self._tried_at: dict[str, float] = {}
        self._applied: object = None
        self._task: asyncio.Task[None] | None = None
        appliance.uplinks = self.states

    async def use(self, config: Config) -> None:
        """Use these uplinks from now on. Raises NetworkError."""
        before, self._config = self._config, config
        if before.uplinks == config.uplinks and self._task is not None:
            return
        await self._end()
        if not config.uplinks:
            if before.uplinks:
                await asyncio.to_thread(self._host.clean_up)
            return
        self._choice = UplinkChoice([uplink.name for uplink in config.uplinks])
        self._seen, self._tried_at, self._applied = {}, {}, None
        await self._look()
        self._task = asyncio.create_task(self._run())

    async def close(self) -> None:
        """Leave the host's own routes as they are without us."""
        await self._end()
        if self._config.uplinks:
            await asyncio.to_thread(self._host.clean_up)

    def states(self) -> tuple[UplinkState, ...]:
        """Return what the GateManager is told."""
        return tuple(self._state_of(uplink) for uplink in self._config.uplinks)

    def _state_of(self, uplink: UplinkConfig) -> UplinkState:
        seen = self._seen.get(uplink.name, Seen())
        is_active = uplink.name == self._choice.active
        words = "not tried yet" if seen.reaches is None else "does not reach the GateManager"
        text = seen.text or ("reaches the GateManager" if seen.reaches else words)
        failed = not seen.is_usable or seen.reaches is False
        state = "active" if is_active else "failed" if failed else "standby"
        return UplinkState(uplink.name, uplink.kind, uplink.interface, state, seen.address, text[:128])  # type: ignore[arg-type]

    async def _end(self) -> None:
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(LOOK_S)
            try:
                await self._look()
            except NetworkError as error:
                self._report(f"uplinks: {error}")

    async def _look(self) -> None:
        config, loop = self._config, asyncio.get_running_loop()
        plant = await self._plant()
        now_seen = await asyncio.to_thread(self._host.look, config.uplinks, plant)
        for name, seen in now_seen.items():
            known = self._seen.get(name)
            reached = known.reaches if known is not None and known.address == seen.address else None
            self._seen[name] = msgspec.structs.replace(seen, reaches=reached if seen.is_usable else None)
        # A probe needs its uplink's table.
        await self._apply()
        await self._probe(config.uplinks, loop.time())
        before = self._choice.active
        active = self._choice.decide(self._seen, loop.time())
        await self._apply()
        if active != before:
            self._report(f"uplink in use: {active or 'none'}{f' (before: {before})' if before else ''}")
            if before and active:
                self._line.reconnect(f"the uplink changed to {active}")
        self._appliance.changed()

    async def _plant(self) -> Sequence[HostNetwork]:
        networks = await self._network.known_networks()
        return [known for known in networks if known.interface in self._config.dev_interfaces]

    async def _apply(self) -> None:
        usable = [
            (uplink, self._seen[uplink.name].address, self._seen[uplink.name].gateway)
            for uplink in self._config.uplinks
        ]
        wanted = (usable, [seen.is_usable for seen in self._seen.values()], self._choice.active)
        if wanted != self._applied:
            await asyncio.to_thread(self._host.apply, self._config.uplinks, dict(self._seen), self._choice.active)
            self._applied = wanted

    async def _probe(self, uplinks: Sequence[UplinkConfig], now: float) -> None:
        results = await asyncio.gather(*(self._try(uplink, now) for uplink in uplinks))
        for uplink, reached in zip(uplinks, results, strict=True):
            if reached is not None:
                self._seen[uplink.name] = msgspec.structs.replace(self._seen[uplink.name], reaches=reached)

    async def _try(self, uplink: UplinkConfig, now: float) -> bool | None:
        if not self._seen[uplink.name].is_usable:
            return None
        is_active = uplink.name == self._choice.active
        if is_active and self._is_connected():
            return True
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
            reaches(uplink.interface, address, port, pin) for address in addresses for port in self._config.ports[:3]
        ]
        return any(await asyncio.gather(*tries))

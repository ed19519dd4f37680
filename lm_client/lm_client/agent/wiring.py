"""A session's adapter and routes, kept in step with what the GateManager granted; one change after the other.

A change that has begun is finished even if nobody waits for it any more: otherwise an adapter could be made that nobody
knows of.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, NamedTuple

import msgspec

from gatelink.exceptions import InputError
from gatelink.messages import Connected, DeviceAccess, TunnelAddresses
from gatelink.tunnel.devices import FrameDevice, TapLike
from lm_client.core.addressing import Choice
from lm_client.service.rules import KernelRoute, in_use, parse_host

from .adapter import Adapter, Plan
from .surroundings import Surroundings

_SHOWN = 4
_NO_MAC = "not in bridged sessions: the GateManager does not know its MAC (a scan shows it)"


class Wish(NamedTuple):
    """How the user wants it."""

    insist: bool = False
    """On the devices' own addresses."""
    bridged: bool = False
    plant_address: str = ""
    """Of this PC in the plant's network, with its length or alone; bridged only."""
    for_relays: bool = False
    """What permanent relays need, nothing else."""


class Wiring:
    """``on_lost`` is called with the reason when the service takes the adapter away."""

    def __init__(self, around: Surroundings, on_lost: Callable[[str], None], wish: Wish) -> None:
        self.interface = ""
        self.warnings: tuple[str, ...] = ()
        self.choices: dict[str, Choice] = {}
        """Which address leads to each device, by its id."""
        self._around = around
        self._on_lost = on_lost
        self._lock = asyncio.Lock()
        self._adapter: Adapter | None = None
        self._ends = ("", "")
        self._wish = wish
        self._appliance = ("", "")
        self._plan = Plan(())

    @property
    def tap(self) -> TapLike | FrameDevice | None:
        """The adapter's TAP, while there is an adapter."""
        return self._adapter.tap if self._adapter else None

    @property
    def ends(self) -> tuple[str, str]:
        """The tunnel's addresses: this PC's and the SiteManager's."""
        return self._ends

    def obstacle(self, tunnel: TunnelAddresses, routes: Sequence[KernelRoute]) -> str:
        """Return what of the PC, given its routes, has one of the ends already; or ""."""
        ends = (tunnel.pc, tunnel.gateway)
        if self._adapter is not None and ends == self._ends:
            return ""
        return in_use([parse_host(end, "an end of the tunnel") for end in ends], routes)

    def taken(self, devices: Sequence[DeviceAccess], routes: Sequence[KernelRoute]) -> set[str]:
        """Return virtual addresses that are in use on this PC, of devices to which nothing else leads."""
        if self._wish.bridged:
            return set()
        own = self.interface if self._adapter else ""
        choices = self._around.addresses.try_out(self, devices, routes, own, insist=self._wish.insist)
        return {each.virtual_address for each in devices if not choices[each.device_id].address} - {""}

    async def set_up(self, answer: Connected) -> None:
        """Make the adapter; keep the one there is if the tunnel's addresses are the same. Raises ServiceError."""
        await _to_its_end(self._set_up(answer))

    async def change(self, devices: tuple[DeviceAccess, ...]) -> None:
        """Let the routes follow; nothing happens without an adapter. Raises ServiceError."""
        await _to_its_end(self._change(devices))

    async def remove(self) -> None:
        """Remove interface and routes; the descriptor stays open until ``close``."""
        await _to_its_end(self._remove())

    def close(self) -> None:
        """Close the descriptor; only when no pump uses it any more."""
        adapter, self._adapter = self._adapter, None
        if adapter is not None:
            adapter.close()

    def drain(self) -> None:
        """Throw away what applications sent while there was no tunnel."""
        if self._adapter is not None:
            self._adapter.drain()

    async def _set_up(self, answer: Connected) -> None:
        async with self._lock:
            ends = (answer.tunnel.pc, answer.tunnel.gateway)
            if self._adapter is not None and ends != self._ends:
                await self._remove_now(self._adapter)
                self.close()
            if self._adapter is not None:
                await self._change_now(self._adapter, answer.devices)
                return
            self._appliance = (answer.domain, answer.name)
            plan = await self._make_plan(answer.devices)
            self._adapter = await asyncio.to_thread(self._around.open_adapter, answer.name, answer.tunnel, plan)
            self.interface, self._ends = self._adapter.interface, ends
            self._adopt(plan, self._adapter.warnings)
            self._watch(self._adapter)

    async def _change(self, devices: tuple[DeviceAccess, ...]) -> None:
        async with self._lock:
            if self._adapter is not None:
                await self._change_now(self._adapter, devices)

    async def _remove(self) -> None:
        async with self._lock:
            if self._adapter is not None:
                await self._remove_now(self._adapter)
            self._around.addresses.release(self)

    async def _change_now(self, adapter: Adapter, devices: tuple[DeviceAccess, ...]) -> None:
        plan = await self._make_plan(devices)
        if (plan.devices, plan.names) == (self._plan.devices, self._plan.names):
            return
        adapter.unwatch()
        self._adopt(plan, await asyncio.to_thread(adapter.change_routes, plan))
        self._watch(adapter)

    async def _remove_now(self, adapter: Adapter) -> None:
        adapter.unwatch()
        self._forget()
        await asyncio.to_thread(adapter.remove)

    async def _make_plan(self, devices: Sequence[DeviceAccess]) -> Plan:
        """Choose an address for each device. Raises InputError if there are devices and none can be reached."""
        around = self._around
        clear = await around.keep_clear()
        domain, name = self._appliance
        wish = self._wish
        if wish.bridged and not wish.plant_address:
            self.choices = {device.device_id: Choice("", "layer 2 alone: no --address was given") for device in devices}
            return Plan((), clear, bridged=True)
        known = [_as_neighbour(device) for device in devices if device.mac] if wish.bridged else devices
        chosen = await around.addresses.choose(
            self, name, known, clear, self.interface if self._adapter else "", insist=wish.insist or wish.bridged
        )
        self.choices = {device.device_id: Choice("", _NO_MAC) for device in devices} | chosen
        reached = {
            device.device_id: address for device in devices if (address := self.choices[device.device_id].address)
        }
        if devices and not reached:
            whys = "; ".join(f"{device.name}: {self.choices[device.device_id].why}" for device in devices[:_SHOWN])
            raise InputError(f"no address leads from this PC to {name}: {whys}")
        names = {
            around.addresses.name_of(device, domain, name): reached[device.device_id]
            for device in devices
            if device.device_id in reached
        }
        found = tuple(dict.fromkeys(reached.values()))
        return Plan(found, clear, names, around.resolver.port, wish.bridged, wish.plant_address)

    def _adopt(self, plan: Plan, warnings: tuple[str, ...]) -> None:
        self._around.addresses.set_names(plan.names, self._plan.names)
        self._plan = plan
        self.warnings = warnings

    def _forget(self) -> None:
        self._around.addresses.set_names({}, self._plan.names)
        self._plan = Plan(())

    def _watch(self, adapter: Adapter) -> None:
        why = "the service with rights has ended, and the adapter with it: start it again"
        adapter.watch(lambda: self._on_lost(why))


def _as_neighbour(device: DeviceAccess) -> DeviceAccess:
    """A device as bridged sessions have it: at its own address or not at all."""
    return msgspec.structs.replace(device, virtual_address="")


async def _to_its_end(change: Coroutine[Any, Any, None]) -> None:
    task = asyncio.ensure_future(change)
    # Whoever is not waiting any more has its own reason to end the session.
    task.add_done_callback(lambda done: None if done.cancelled() else done.exception() and None)
    await asyncio.shield(task)

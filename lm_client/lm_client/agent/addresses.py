"""Which addresses and names the sessions of this agent have given to devices: no two sessions the same."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Hashable, Mapping, Sequence

from gatelink.messages import ApplianceView, DeviceAccess
from lm_client.core.addressing import Choice, Pc, choose
from lm_client.core.hostnames import hostname, hostnames
from lm_client.service.rules import KernelRoute

ReadRoutes = Callable[[], list[KernelRoute]]


class AddressBook:
    """``read_routes`` may block for some milliseconds: it is called in a thread. Raises HostError from there."""

    def __init__(self, read_routes: ReadRoutes) -> None:
        self._read_routes = read_routes
        self._chosen: dict[Hashable, dict[str, Choice]] = {}
        self._spoken: dict[Hashable, str] = {}
        self._names: dict[str, str] = {}
        self.by_name: dict[str, str] = {}
        """What the resolver answers: addresses by host name."""

    def learn(self, appliances: Sequence[ApplianceView]) -> None:
        """Know the whole tree's names."""
        self._names = hostnames(appliances)

    def name_of(self, device: DeviceAccess, domain: str, appliance: str) -> str:
        """Return a device's host name."""
        return self._names.get(device.device_id) or hostname(domain, appliance, device.name)

    async def routes(self) -> list[KernelRoute]:
        """Return the PC's routes as they are now."""
        return await asyncio.to_thread(self._read_routes)

    async def choose(
        self,
        owner: Hashable,
        appliance: str,
        devices: Sequence[DeviceAccess],
        keep_clear: Sequence[str],
        interface: str,
        *,
        insist: bool,
    ) -> dict[str, Choice]:
        """Choose for a session, and keep what was chosen from others until ``release``."""
        routes = await self.routes()
        # From here on nobody else runs: what is chosen is free, and taken when this returns.
        self._chosen[owner] = self.try_out(owner, devices, routes, interface, keep_clear, insist=insist)
        self._spoken[owner] = appliance
        return self._chosen[owner]

    def try_out(
        self,
        owner: Hashable,
        devices: Sequence[DeviceAccess],
        routes: Sequence[KernelRoute],
        interface: str,
        keep_clear: Sequence[str] = (),
        *,
        insist: bool,
    ) -> dict[str, Choice]:
        """Return what would be chosen for a session; nothing is kept."""
        kept = {device_id: choice.address for device_id, choice in self._chosen.get(owner, {}).items()}
        pc = Pc(routes, frozenset(keep_clear), self._taken(except_for=owner), interface)
        return choose(devices, pc, kept, insist=insist)

    def foresee(self, appliances: Sequence[ApplianceView], routes: Sequence[KernelRoute]) -> dict[str, Choice]:
        """Return what devices have now, and would have if their appliance was connected now; by device id."""
        live: dict[str, Choice] = {}
        for choices in self._chosen.values():
            live.update(choices)
        pc = Pc(routes, (), self._taken())
        found: dict[str, Choice] = {}
        for appliance in appliances:
            others = [device for device in appliance.devices if device.device_id not in live]
            found.update(choose(others, pc))
        return {**found, **live}

    def set_names(self, names: Mapping[str, str], before: Mapping[str, str]) -> None:
        """Let the resolver answer with ``names`` in the place of what a session had before."""
        for name, address in before.items():
            if self.by_name.get(name) == address:
                del self.by_name[name]
        self.by_name.update(names)

    def release(self, owner: Hashable) -> None:
        """Give back what a session had."""
        self._chosen.pop(owner, None)
        self._spoken.pop(owner, None)

    def _taken(self, except_for: Hashable = None) -> dict[str, str]:
        return {
            choice.address: self._spoken[owner]
            for owner, choices in self._chosen.items()
            if owner != except_for
            for choice in choices.values()
            if choice.address
        }

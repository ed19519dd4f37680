"""A session's adapter and routes, kept in step with what the GateManager granted; one change after the other.

A change that has begun is finished even if nobody waits for it any more: otherwise an adapter could be made that nobody
knows of.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from gatelink.messages import Connected, DeviceAccess
from gatelink.tunnel.pump import TapLike

from .adapter import Adapter
from .surroundings import Surroundings


class Wiring:
    """``on_lost`` is called with the reason when the service takes the adapter away."""

    def __init__(self, around: Surroundings, on_lost: Callable[[str], None]) -> None:
        self.interface = ""
        self.warnings: tuple[str, ...] = ()
        self._around = around
        self._on_lost = on_lost
        self._lock = asyncio.Lock()
        self._adapter: Adapter | None = None
        self._ends = ("", "")
        self._routed: frozenset[str] = frozenset()

    @property
    def tap(self) -> TapLike | None:
        """The adapter's TAP, while there is an adapter."""
        return self._adapter.tap if self._adapter else None

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
            clear = await self._around.keep_clear()
            addresses = _addresses(answer.devices)
            self._adapter = await asyncio.to_thread(
                self._around.open_adapter, answer.name, answer.tunnel, addresses, clear
            )
            self.interface, self.warnings = self._adapter.interface, self._adapter.warnings
            self._ends, self._routed = ends, frozenset(addresses)
            self._watch(self._adapter)

    async def _change(self, devices: tuple[DeviceAccess, ...]) -> None:
        async with self._lock:
            if self._adapter is not None:
                await self._change_now(self._adapter, devices)

    async def _remove(self) -> None:
        async with self._lock:
            if self._adapter is not None:
                await self._remove_now(self._adapter)

    async def _change_now(self, adapter: Adapter, devices: tuple[DeviceAccess, ...]) -> None:
        addresses = _addresses(devices)
        if frozenset(addresses) == self._routed:
            return
        clear = await self._around.keep_clear()
        _unwatch(adapter)
        self.warnings = await asyncio.to_thread(adapter.change_routes, addresses, clear)
        self._routed = frozenset(addresses)
        self._watch(adapter)

    async def _remove_now(self, adapter: Adapter) -> None:
        _unwatch(adapter)
        await asyncio.to_thread(adapter.remove)

    def _watch(self, adapter: Adapter) -> None:
        asyncio.get_running_loop().add_reader(adapter.fileno(), self._on_readable, adapter)

    def _on_readable(self, adapter: Adapter) -> None:
        if not adapter.is_alive:
            _unwatch(adapter)
            self._on_lost("the service with rights has ended, and the adapter with it: start it again")


def _addresses(devices: tuple[DeviceAccess, ...]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(device.address for device in devices))


def _unwatch(adapter: Adapter) -> None:
    if adapter.fileno() >= 0:
        asyncio.get_running_loop().remove_reader(adapter.fileno())


async def _to_its_end(change: Coroutine[Any, Any, None]) -> None:
    task = asyncio.ensure_future(change)
    # Whoever is not waiting any more has its own reason to end the session.
    task.add_done_callback(lambda done: None if done.cancelled() else done.exception() and None)
    await asyncio.shield(task)

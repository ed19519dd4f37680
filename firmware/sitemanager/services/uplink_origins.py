"""Where the addresses of the ways out come from: the configuration, a DHCP server, or what the system did."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Mapping, Sequence

from sitemanager.core.uplink_settings import UplinkConfig
from sitemanager.core.uplinks import Given, Seen, Wanted

from .lease_client import LeaseClient


class Origins:
    """Runs a DHCP client for each uplink that wants one; ``changed`` is called when one has something new."""

    def __init__(self, report: Callable[[str], None], changed: Callable[[], None]) -> None:
        self._report = report
        self._changed = changed
        self._uplinks: Sequence[UplinkConfig] = ()
        self._clients: dict[str, LeaseClient] = {}
        """By interface: an uplink that is renamed or moved keeps its lease."""
        self._has_line: dict[str, bool] = {}
        self._news = asyncio.Event()

    async def use(self, uplinks: Sequence[UplinkConfig]) -> None:
        """Ask for these from now on. Raises NetworkError if a program is missing."""
        asking = {uplink.interface for uplink in uplinks if uplink.dhcp}
        for interface in self._clients.keys() - asking:
            await self._clients.pop(interface).close()
        for interface in sorted(asking - self._clients.keys()):
            self._clients[interface] = LeaseClient(interface, self._report, self._on_lease)
        self._uplinks = uplinks

    async def settled(self, timeout_s: float) -> None:
        """Wait until every client has an address, or for so long."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                while any(client.given is None for client in self._clients.values()):
                    self._news.clear()
                    await self._news.wait()

    def wanted(self) -> tuple[Wanted, ...]:
        """Return what each uplink is to have now."""
        return tuple(self._wanted(uplink) for uplink in self._uplinks)

    def saw(self, seen: Mapping[str, Seen]) -> None:
        """Ask anew where a cable came back: it may lead elsewhere now."""
        for uplink in self._uplinks:
            has_line, before = seen[uplink.name].has_line, self._has_line.get(uplink.interface, True)
            self._has_line[uplink.interface] = has_line
            if has_line and not before and uplink.interface in self._clients:
                self._clients[uplink.interface].ask_again()

    async def close(self) -> None:
        """End them all."""
        await self.use(())

    def _wanted(self, uplink: UplinkConfig) -> Wanted:
        if uplink.address:
            return Wanted(uplink, Given(uplink.address, uplink.gateway))
        if not uplink.dhcp:
            return Wanted(uplink)
        given = self._clients[uplink.interface].given
        return Wanted(uplink, given, "" if given is not None else "no DHCP server has answered yet")

    def _on_lease(self) -> None:
        self._news.set()
        self._changed()

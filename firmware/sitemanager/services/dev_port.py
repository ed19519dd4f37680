"""The machine-side port as a technician finds it: the unit's own address there, and DHCP for his laptop."""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
from collections.abc import Callable
from typing import Final

from gatelink.exceptions import InputError
from sitemanager.config import Config
from sitemanager.core.dev_port import dev_address, pool
from sitemanager.core.dhcp import DhcpServer
from sitemanager.exceptions import NetworkError
from sitemanager.host.dev_address import DevAddress, LinuxDevAddress

from .dhcp import DhcpService, other_server

AGAIN_S: Final = 60.0
"""Between two looks whether another server is still there, or the port has come."""


class DevPort:
    """A part: see ``services.parts``."""

    def __init__(self, report: Callable[[str], None], address: DevAddress | None = None) -> None:
        self._report = report
        self._address = address or LinuxDevAddress()
        self._used: object = None
        self._serving: asyncio.Task[None] | None = None
        self._said = ""

    async def use(self, config: Config) -> None:
        """Give the port its address, and serve on it or not. Raises NetworkError."""
        wanted = (config.dev_interfaces[:1], config.dev_address, config.dhcp)
        if wanted == self._used or (self._used is None and not config.dev_address):
            return
        await self._stop()
        interface = config.dev_interfaces[0] if config.dev_interfaces else ""
        try:
            own = dev_address(config.dev_address) if config.dev_address and interface else None
            addresses = pool(own, config.dhcp.first, config.dhcp.last) if own and config.dhcp.enabled else ()
        except ValueError as error:
            raise InputError(str(error)) from None
        await asyncio.to_thread(self._address.apply, interface, own)
        self._used = wanted
        if own is not None and addresses:
            self._serving = asyncio.create_task(self._serve(interface, own, addresses, config.dhcp.lease_s))

    async def close(self) -> None:
        """Stop serving. The address stays: the page is to be reached while the daemon restarts."""
        await self._stop()

    async def _stop(self) -> None:
        task, self._serving = self._serving, None
        if task is not None:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task

    async def _serve(
        self,
        interface: str,
        own: ipaddress.IPv4Interface,
        addresses: tuple[ipaddress.IPv4Address, ...],
        lease_s: int,
    ) -> None:
        """Serve while nobody else does; looks again in between. Leases live as long as this runs."""
        server = DhcpServer(own, addresses, lease_s)
        while True:
            try:
                other = await other_server(interface)
                if other is not None:
                    self._say(f"another DHCP server answers on {interface}: {other}; none is served by this unit")
                else:
                    service = DhcpService(interface, server, self._report)
                    try:
                        self._say(f"DHCP on {interface}: {addresses[0]} to {addresses[-1]}")
                        await asyncio.get_running_loop().create_future()
                    finally:
                        service.close()
            except NetworkError as error:
                self._say(str(error))
            await asyncio.sleep(AGAIN_S)

    def _say(self, text: str) -> None:
        if text != self._said:
            self._said = text
            self._report(text)

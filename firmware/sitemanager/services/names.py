"""Host names by the name servers of the uplink in use, else by the host's own resolver.

The servers that a site's DHCP names belong to one way out: asked by another one they answer nothing, or something else.
The daemon's loop is where every part looks names up: the link, its proxies, the diagnosis.
"""

from __future__ import annotations

import asyncio
import ipaddress
from typing import Any

from sitemanager.host.network.names import ask


class NamingLoop(asyncio.SelectorEventLoop):
    """An event loop whose ``getaddrinfo`` asks these servers, by this interface, before the system's."""

    servers: tuple[str, ...] = ()
    interface: str = ""

    async def getaddrinfo(self, host: Any, port: Any, **options: Any) -> Any:
        """See ``asyncio.loop.getaddrinfo``."""
        system = super().getaddrinfo
        found = [await system(address, port, **options) for address in await self._asked(host)]
        if found:
            return [entry for entries in found for entry in entries]
        return await system(host, port, **options)

    async def _asked(self, host: Any) -> tuple[str, ...]:
        if not isinstance(host, str) or not self.servers or _is_address(host):
            return ()
        for server in self.servers:
            try:
                found = await ask(server, self.interface, host)
            except ValueError:
                return ()
            if found:
                return found
        return ()


def use_servers(servers: tuple[str, ...], interface: str) -> None:
    """Ask these from now on, if the running loop is one that can."""
    loop = asyncio.get_running_loop()
    if isinstance(loop, NamingLoop):
        loop.servers, loop.interface = servers, interface


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return False
    return True

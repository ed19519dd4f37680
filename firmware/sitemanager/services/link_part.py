"""The link's share of a configuration: the ways to the GateManager, and the machine side of sessions."""

from __future__ import annotations

from typing import Any

from sitemanager.config import Config

from .gm_line import GmLine
from .network_state import NetworkState


class LinkPart:
    """A part: see ``services.parts``."""

    def __init__(self, network: NetworkState, line: GmLine) -> None:
        self._network = network
        self._line = line
        self._ways: Any = None

    async def use(self, config: Config) -> None:
        """Use other machine-side interfaces at once; connect anew where the ways to the GateManager changed."""
        await self._network.use(config.dev_interfaces)
        ways = (config.gm_addresses, config.ports, config.proxies)
        before, self._ways = self._ways, ways
        if before is not None and before != ways:
            self._line.reconnect("the ways to the GateManager were changed")

    async def close(self) -> None:
        """Nothing is left: the daemon ends link and network itself."""

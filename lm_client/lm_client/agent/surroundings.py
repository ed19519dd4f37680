"""What a session needs of the agent around it."""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import re
import socket
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from gatelink.messages import TunnelAddresses
from lm_client.config import SessionSettings
from lm_client.host import here
from lm_client.journal import Journal

from .adapter import Adapter, Plan, TakeTap, open_adapter
from .addresses import AddressBook
from .gatemanager import GateManager
from .keys import KeyBook
from .resolver import Resolver
from .tree import Tree

MAX_LABEL_CHARACTERS: Final = 32
MAX_KEPT_CLEAR: Final = 64
RESOLVE_TIMEOUT_S: Final = 2.0


@dataclass
class Surroundings:
    """Shared by all sessions."""

    gm: GateManager
    journal: Journal
    settings: SessionSettings
    keys: KeyBook
    service_path: Path
    serial_directory: Path
    serial_forms: Mapping[str, str]
    com_pairs: Mapping[str, str]
    addresses: AddressBook
    resolver: Resolver
    tree: Tree
    take_tap: TakeTap = here.take_tap
    _resolved: dict[str, frozenset[str]] = field(default_factory=dict)

    async def keep_clear(self) -> tuple[str, ...]:
        """Return the IPv4 addresses that lead to the GateManager, as far as they can be found out now."""
        hosts = {way.proxy.host if way.proxy else way.address for way in self.gm.ways()}
        found: set[str] = {host for host in hosts if _is_ipv4(host)}
        for host in hosts - found:
            found |= await self._addresses_of(host)
        return tuple(sorted(found))[:MAX_KEPT_CLEAR]

    async def _addresses_of(self, host: str) -> frozenset[str]:
        """Ask the resolver, which was asked a moment ago for the control connection; its last answer is kept."""
        loop = asyncio.get_running_loop()
        with contextlib.suppress(OSError):  # a TimeoutError is one
            async with asyncio.timeout(RESOLVE_TIMEOUT_S):
                answers = await loop.getaddrinfo(host, None, family=socket.AF_INET, type=socket.SOCK_STREAM)
            self._resolved[host] = frozenset(str(address[0]) for *_, address in answers)
        return self._resolved.get(host, frozenset())

    def open_adapter(self, name: str, tunnel: TunnelAddresses, plan: Plan) -> Adapter:
        """Ask the service with rights; blocks. Raises ServiceError."""
        label = re.sub(r"[^A-Za-z0-9._-]", "-", name)[:MAX_LABEL_CHARACTERS]
        return open_adapter(self.service_path, label, tunnel, plan, self.take_tap)


def _is_ipv4(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).version == 4
    except ValueError:
        return False

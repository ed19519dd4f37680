"""Gives each live session a /30 of its own inside the tunnel network. No I/O.

Blocks are given in turn, so that one is not used again soon: a session that broke can be resumed with the addresses
that its open TCP connections know.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Collection
from typing import Final

from gatelink.exceptions import Refused
from gatelink.messages import TunnelAddresses

_BLOCK: Final = 4


class TunnelPool:
    """The blocks of ``network``; ``start`` (any number) says where the turn begins."""

    def __init__(self, network: ipaddress.IPv4Network, start: int = 0) -> None:
        self._first = int(network.network_address)
        self._blocks = network.num_addresses // _BLOCK
        self._next = start % self._blocks
        self._taken: set[int] = set()

    def allocate(self, avoid: Collection[str] = ()) -> TunnelAddresses:
        """Return a free block's addresses; raises Refused (``busy``) when all are taken.

        ``avoid`` are PCs' ends of blocks that are in use at the PC; what is no such address is nobody's.
        """
        avoided = {block for pc in avoid if (block := self._block_of(pc)) is not None}
        if len(self._taken | avoided) == self._blocks:
            raise Refused("busy", "every tunnel address is in use: end a session first")
        while self._next in self._taken or self._next in avoided:
            self._next = (self._next + 1) % self._blocks
        block = self._next
        self._next = (block + 1) % self._blocks
        self._taken.add(block)
        return self._addresses(block)

    def reserve(self, pc: str) -> TunnelAddresses | None:
        """Return the addresses of an earlier session whose PC had ``pc``, or None if they are not free."""
        block = self._block_of(pc)
        if block is None or block in self._taken:
            return None
        self._taken.add(block)
        return self._addresses(block)

    def release(self, tunnel: TunnelAddresses) -> None:
        """Give a block back."""
        self._taken.discard((int(ipaddress.IPv4Address(tunnel.pc)) - self._first) // _BLOCK)

    def _block_of(self, pc: str) -> int | None:
        """Return the block whose PC has this address, if there is one."""
        try:
            offset = int(ipaddress.IPv4Address(pc)) - self._first - 2
        except ValueError:
            return None
        block, rest = divmod(offset, _BLOCK)
        return None if rest or not 0 <= block < self._blocks else block

    def _addresses(self, block: int) -> TunnelAddresses:
        base = self._first + block * _BLOCK
        return TunnelAddresses(pc=str(ipaddress.IPv4Address(base + 2)), gateway=str(ipaddress.IPv4Address(base + 1)))

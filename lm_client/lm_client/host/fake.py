"""A PC without a kernel: adapters are pairs of sockets, routes a list. For tests without rights."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv4Network

from gatelink.tunnel.offload import Offload
from lm_client.host import Bridge
from lm_client.service.protocol import HostName
from lm_client.service.rules import KernelRoute


@dataclass(eq=False)
class FakeAdapter:
    """One end of a pair of sockets is the adapter's descriptor, ``wire`` the other: what its kernel would see."""

    name: str
    pc: IPv4Address
    gateway: IPv4Address
    near: socket.socket
    wire: socket.socket
    devices: tuple[IPv4Address, ...] = ()
    bridge: Bridge | None = None

    @property
    def descriptor(self) -> int:
        """The open file to hand over."""
        return self.near.fileno()


@dataclass
class FakeNetwork:
    """Records what a real one would have done."""

    surroundings: list[KernelRoute] = field(default_factory=list)
    adapters: dict[str, FakeAdapter] = field(default_factory=dict)
    leftovers: list[str] = field(default_factory=list)
    opened: int = 0
    """How many adapters were ever made."""

    def routes(self) -> list[KernelRoute]:
        """Return the surroundings and what the adapters have."""
        own = [
            KernelRoute(IPv4Network(device), "unicast", adapter.name, (adapter.gateway,))
            for adapter in self.adapters.values()
            for device in (adapter.pc, adapter.gateway, *adapter.devices)
        ]
        return [*self.surroundings, *own]

    def open(
        self, label: str, pc: IPv4Address, gateway: IPv4Address, mtu_bytes: int, bridge: Bridge | None = None
    ) -> FakeAdapter:
        """Make an adapter."""
        near, wire = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
        near.setblocking(False)
        wire.setblocking(False)
        name = next(f"gl{number}" for number in range(1000) if f"gl{number}" not in self.adapters)
        self.adapters[name] = FakeAdapter(name, pc, gateway, near, wire, bridge=bridge)
        self.opened += 1
        return self.adapters[name]

    def apply(self, adapter: FakeAdapter, devices: Sequence[IPv4Address]) -> None:
        """Note the routes."""
        adapter.devices = tuple(devices)

    def remove(self, adapter: FakeAdapter) -> None:
        """Close both ends and forget it."""
        self.adapters.pop(adapter.name, None)
        adapter.near.close()
        adapter.wire.close()

    def clean_up(self) -> list[str]:
        """Forget the leftovers."""
        found, self.leftovers = self.leftovers, []
        return found


@dataclass
class FakeNames:
    """Records which names are known."""

    known: dict[str, dict[str, str]] = field(default_factory=dict)
    """By interface: address by name."""

    def apply(self, interface: str, names: Sequence[HostName], dns_port: int) -> None:
        """Note the names."""
        self.known[interface] = {entry.name: entry.address for entry in names}

    def remove(self, interface: str) -> None:
        """Forget them."""
        self.known.pop(interface, None)

    def clean_up(self) -> list[str]:
        """Forget all."""
        found = sorted(self.known)
        self.known.clear()
        return found


class FakeTap:
    """The descriptor of a ``FakeAdapter`` as the tunnel's pump wants it."""

    def __init__(self, descriptor: int) -> None:
        self.name = f"fake{descriptor}"
        self._descriptor = descriptor
        os.set_blocking(descriptor, False)

    def fileno(self) -> int:
        """The descriptor, for epoll."""
        return self._descriptor

    @property
    def offload(self) -> Offload:
        """Nothing: there is no kernel."""
        return Offload.NONE

    def use(self, offload: Offload) -> None:
        """Take what was negotiated."""

    def ports(self, offload: Offload) -> tuple[Callable[[memoryview], int | None], Callable[[memoryview], int | None]]:
        """Return how to read and to write one frame."""

        def read(view: memoryview) -> int | None:
            try:
                return os.readv(self._descriptor, [view])
            except BlockingIOError:
                return None

        def write(view: memoryview) -> int | None:
            try:
                return os.write(self._descriptor, view)
            except BlockingIOError:
                return None

        return read, write

"""What the service with rights asks of the operating system. ``linux`` does it, ``fake`` plays it for tests."""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import IPv4Address, IPv4Interface
from typing import NamedTuple, Protocol, TypeVar

from lm_client.service.protocol import HostName
from lm_client.service.rules import KernelRoute


class Bridge(NamedTuple):
    """What a bridged adapter has: this PC's address in the plant, if any."""

    plant: IPv4Interface | None
    """Its length is that of the plant's network, or 32 if only the address is known."""


class Adapter(Protocol):
    """An open TAP adapter with its two tunnel addresses."""

    @property
    def name(self) -> str:
        """The interface."""

    @property
    def descriptor(self) -> int:
        """The open file to hand over."""

    @property
    def pc(self) -> IPv4Address:
        """This end."""

    @property
    def gateway(self) -> IPv4Address:
        """The SiteManager's end."""


A = TypeVar("A", bound=Adapter)


class Network(Protocol[A]):
    """Adapters and routes of one PC. Not thread-safe: the caller holds a lock. Errors are HostError."""

    def routes(self) -> list[KernelRoute]:
        """Return every IPv4 route of every table."""

    def open(
        self, label: str, pc: IPv4Address, gateway: IPv4Address, mtu_bytes: int, bridge: Bridge | None = None
    ) -> A:
        """Make an adapter; it has no address and no route yet."""

    def apply(self, adapter: A, devices: Sequence[IPv4Address]) -> None:
        """Give it its address, its neighbour and exactly these host routes. Idempotent: the full state each time."""

    def remove(self, adapter: A) -> None:
        """Remove it with everything that leads to it, whoever else holds its descriptor. Idempotent."""

    def clean_up(self) -> list[str]:
        """Remove what an earlier run left; return its names."""


class NameRegistry(Protocol):
    """The devices' names, for every program of the PC. The caller holds a lock. Errors are HostError."""

    def apply(self, interface: str, names: Sequence[HostName], dns_port: int) -> None:
        """Let exactly these names be known as those of an adapter. Idempotent: the full state each time.

        Whoever opened the adapter answers questions for them at ``dns_port`` of 127.0.0.1, unless that is 0.
        """

    def remove(self, interface: str) -> None:
        """Forget the names of an adapter, before it goes. Idempotent."""

    def clean_up(self) -> list[str]:
        """Remove what an earlier run left; return what it was."""

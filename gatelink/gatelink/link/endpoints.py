"""The ways to the GateManager, in the order in which they are tried. No I/O."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from gatelink.exceptions import InputError
from gatelink.messages import Route


class Proxy(msgspec.Struct, frozen=True):
    """An HTTP proxy that understands CONNECT, with basic authentication where ``username`` is set."""

    host: str
    port: int
    username: str = ""
    password: str = ""

    def __repr__(self) -> str:
        """Never shows the password."""
        return f"Proxy({self.host}:{self.port})"


class Endpoint(msgspec.Struct, frozen=True):
    """One way: an address and port of the GM, directly or through a proxy."""

    address: str
    port: int
    proxy: Proxy | None = None

    @property
    def route(self) -> Route:
        """The way as it is told to the GM."""
        return Route(self.address, self.port, self.proxy is not None)

    def __str__(self) -> str:
        host = f"[{self.address}]" if ":" in self.address else self.address
        through = f" through the proxy {self.proxy.host}:{self.proxy.port}" if self.proxy else ""
        return f"{host}:{self.port}{through}"


def endpoints(addresses: Sequence[str], ports: Sequence[int], proxies: Sequence[Proxy] = ()) -> tuple[Endpoint, ...]:
    """Return every way, best first: the preferred port at all addresses, the next port, ..., then through proxies."""
    ways: list[Proxy | None] = [None, *proxies]
    return tuple(Endpoint(address, port, way) for way in ways for port in ports for address in addresses)


def check_address(address: str) -> str:
    """Return a host name or IP address as it was given; raises InputError for what cannot be one."""
    allowed = all(character.isascii() and (character.isalnum() or character in ".-:_") for character in address)
    if not 0 < len(address) <= 253 or not allowed or address[0] in "-.":
        raise InputError(f"expected a host name or IP address of the GateManager, got {address[:60]!r}")
    return address

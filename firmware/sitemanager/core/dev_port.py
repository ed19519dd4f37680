"""The machine-side port as a technician finds it: its address, and the addresses that are given out there. No I/O."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator

MOST_LEASES = 254


def dev_address(text: str) -> ipaddress.IPv4Interface:
    """Return an address with its prefix (``10.0.0.1/24``). Raises ValueError that says what is wrong."""
    if "/" not in text:
        raise ValueError(f"expected an address and its prefix like 10.0.0.1/24, got {text[:30]!r}")
    try:
        interface = ipaddress.IPv4Interface(text)
    except ValueError:
        raise ValueError(f"expected an address and its prefix like 10.0.0.1/24, got {text[:30]!r}") from None
    network, address = interface.network, interface.ip
    if not 8 <= network.prefixlen <= 30 or address in (network.network_address, network.broadcast_address):
        raise ValueError(f"{text} is no address that a port can have")
    if address.is_loopback or address.is_multicast or address.is_unspecified or address.is_reserved:
        raise ValueError(f"{text} is no address that a port can have")
    return interface


def pool(interface: ipaddress.IPv4Interface, first: str, last: str) -> tuple[ipaddress.IPv4Address, ...]:
    """Return the addresses to give out. Raises ValueError that says what is wrong."""
    try:
        low, high = ipaddress.IPv4Address(first), ipaddress.IPv4Address(last)
    except ValueError:
        raise ValueError(f"expected two IPv4 addresses, got {first[:20]!r} and {last[:20]!r}") from None
    if low > high or int(high) - int(low) >= MOST_LEASES:
        raise ValueError(f"expected 1 to {MOST_LEASES} addresses, from the lower to the higher, got {low} to {high}")
    edges = (interface.network.network_address, interface.network.broadcast_address)
    found = tuple(ipaddress.IPv4Address(number) for number in range(int(low), int(high) + 1))
    for address in found:
        if address not in interface.network or address in edges or address == interface.ip:
            raise ValueError(f"{address} cannot be given out in the network of {interface}")
    return found


def dev_port_mistakes(address: str, dhcp: bool, first: str, last: str) -> Iterator[str]:
    """Every mistake of these settings with its key path."""
    if not address:
        if dhcp:
            yield "dhcp.enabled: needs dev_address, the port's own address"
        return
    try:
        interface = dev_address(address)
    except ValueError as error:
        yield f"dev_address: {error}"
        return
    if dhcp:
        try:
            pool(interface, first, last)
        except ValueError as error:
            yield f"dhcp.first: {error}"

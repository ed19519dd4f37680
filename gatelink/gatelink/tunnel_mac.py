"""The MAC address that each end of a session's Ethernet segment has, from its tunnel address. No I/O.

Both ends know both tunnel addresses, so both can set the other's neighbour entry without asking: no ARP crosses the
tunnel, and nobody on it can claim another's address.
"""

from __future__ import annotations

import ipaddress
from typing import Final

_PREFIX: Final = b"\x02gl"
"""Locally administered, unicast (IEEE 802-2014, 8.2.2): 02:67:6c."""


def tunnel_mac(address: str) -> str:
    """Return ``02:67:6c:`` and the low three bytes of a tunnel address (IPv4, dotted decimal).

    Unique on the segment: its prefix is at least /8 long (``TunnelAddresses``). Raises ValueError for anything else
    than an IPv4 address.
    """
    return (_PREFIX + ipaddress.IPv4Address(address).packed[1:]).hex(":")

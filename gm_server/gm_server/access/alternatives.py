"""Other virtual addresses for devices whose own are in use at the PC. No I/O.

GateManagers do not know of each other and begin to count in the same network, so two of them give one PC the same
addresses. The PC says which; each of those devices then has, in this session alone, the same place in one of the seven
other eighths of 100.64.0.0/10. So it is the same address again tomorrow, as long as the same ones are in use.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Collection, Iterator
from typing import Final

import msgspec

from gatelink.messages import DeviceAccess

_SHARED: Final = ipaddress.IPv4Network("100.64.0.0/10")
"""RFC 6598: between providers and their customers; neither plants nor offices have it."""
_EIGHTHS: Final = 8
_EIGHTH: Final = _SHARED.num_addresses // _EIGHTHS


def avoiding(devices: tuple[DeviceAccess, ...], avoid: Collection[str]) -> tuple[DeviceAccess, ...]:
    """Return the devices with virtual addresses that are not to be avoided; where none is left, with their own."""
    if not any(device.virtual_address in avoid for device in devices if device.virtual_address):
        return devices
    taken = {*avoid, *(address for device in devices for address in (device.address, device.virtual_address))}
    found = []
    for device in devices:
        if device.virtual_address and device.virtual_address in avoid:
            others = (address for address in _others(device.virtual_address) if address not in taken)
            address = next(others, device.virtual_address)
            taken.add(address)
            found.append(msgspec.structs.replace(device, virtual_address=address))
        else:
            found.append(device)
    return tuple(found)


def _others(virtual: str) -> Iterator[str]:
    number = int(ipaddress.IPv4Address(virtual))
    for eighth in range(1, _EIGHTHS):
        place = (number + eighth * _EIGHTH) % _SHARED.num_addresses
        if 0 < place < _SHARED.num_addresses - 1:
            yield str(_SHARED.network_address + place)

"""Virtual addresses: one for each device of the whole server, given once, for ever.

Plants everywhere have the same networks, and offices too: a PC routes a device's virtual address into the tunnel where
the real one is taken, and the SiteManager translates. A serial port has no other address.
"""

from __future__ import annotations

import ipaddress
from typing import Final

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from gm_server.database.tables import Device
from gm_server.exceptions import Conflict

VIRTUAL_NETWORK: Final = "virtual_network"
"""Key in ``Session.info``: the setting as an IPv4Network."""
_DEFAULT: Final = ipaddress.IPv4Network("100.96.0.0/13")


def virtual_network(session: Session) -> ipaddress.IPv4Network:
    """Return the network that the settings name."""
    network = session.info.get(VIRTUAL_NETWORK, _DEFAULT)
    return network if isinstance(network, ipaddress.IPv4Network) else _DEFAULT


def virtual_address(network: ipaddress.IPv4Network, number: int | None) -> str:
    """Return the address of a number; empty without one, or when the network has become too small for it."""
    if number is None or not 0 < number < network.num_addresses - 1:
        return ""
    return str(network.network_address + number)


def free_number(session: Session) -> int:
    """Return a number that no device has; the highest was given last. Raises Conflict when there is none."""
    most = virtual_network(session).num_addresses - 2
    highest = session.scalar(select(func.max(Device.virtual_number))) or 0
    if highest < most:
        return int(highest) + 1
    taken = set(session.scalars(select(Device.virtual_number)))
    for number in range(1, most + 1):
        if number not in taken:
            return number
    raise Conflict(f"all {most} virtual addresses are taken: make virtual_network larger in config.toml")


def number_devices(session: Session) -> int:
    """Give a number to every device of an earlier version; returns how many there were."""
    unnumbered = session.scalars(select(Device).where(Device.virtual_number.is_(None)).order_by(Device.id)).all()
    for device in unnumbered:
        device.virtual_number = free_number(session)
        session.flush()
    return len(unnumbered)

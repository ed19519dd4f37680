"""Virtual addresses: one for each device of the whole server, given once, for ever.

Plants everywhere have the same networks, and offices too: a PC routes a device's virtual address into the tunnel where
the real one is taken, and the SiteManager translates. A serial port has no other address.
"""

from __future__ import annotations

import ipaddress
import itertools
from typing import Final

from sqlalchemy import func, select, update
from sqlalchemy.orm import Session

from gm_server.database.tables import Device
from gm_server.exceptions import Conflict

VIRTUAL_NETWORK: Final = "virtual_network"
"""Key in ``Session.info``: the setting as an IPv4Network."""
_ALL_TAKEN: Final = "all {most} virtual addresses are taken: make virtual_network larger in config.toml"
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
    return int(highest) + 1 if highest < most else _free_numbers(session, 1)[0]


def number_devices(session: Session) -> int:
    """Give a number to every device of an earlier version; returns how many there were."""
    unnumbered = session.scalars(select(Device.id).where(Device.virtual_number.is_(None)).order_by(Device.id)).all()
    if not unnumbered:
        return 0
    numbers = _free_numbers(session, len(unnumbered))
    rows = [{"id": device_id, "virtual_number": number} for device_id, number in zip(unnumbered, numbers, strict=True)]
    session.execute(update(Device), rows)
    return len(unnumbered)


def _free_numbers(session: Session, count: int) -> list[int]:
    """Return numbers that no device has: those above the highest first; raises Conflict when there are too few."""
    most = virtual_network(session).num_addresses - 2
    taken = {number for number in session.scalars(select(Device.virtual_number)) if number is not None}
    highest = max(taken, default=0)
    candidates = itertools.chain(range(highest + 1, most + 1), range(1, min(highest, most + 1)))
    numbers = list(itertools.islice((number for number in candidates if number not in taken), count))
    if len(numbers) < count:
        raise Conflict(_ALL_TAKEN.format(most=most))
    return numbers

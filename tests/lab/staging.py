"""What `./lab up` puts into the places: the whole system, connected, with what to type to reach into it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from lab.lab import Lab
from lab.products import APPLIANCE, PLC_ADDRESS, System

_COMMANDS = (
    ("internet", "gm status", "the GateManager: also sessions, appliances, users, grants ..."),
    ("site", "sm status", "the SiteManager: also lock, unlock, config ..."),
    ("pc", "lm status", "the LinkManager: also list, connect, disconnect ..."),
    ("pc", "python -m lab.modbus_client", "an ordinary Modbus client that polls the PLC"),
    ("pc", f"ping {PLC_ADDRESS}", "the PLC at its own plant address"),
)


@contextmanager
def occupy(lab: Lab) -> Iterator[Iterable[str]]:
    """Start everything, connect the PC to the machine; everything ends with the lab."""
    with System(lab) as system:
        system.lm.run("connect", APPLIANCE)
        yield _news()


def _news() -> Iterator[str]:
    yield f"The PC is connected to {APPLIANCE}. What you can run:"
    for place, command, meaning in _COMMANDS:
        words = f"exec {place} -- {command}"
        yield f"  ./lab {words:<46} {meaning}"

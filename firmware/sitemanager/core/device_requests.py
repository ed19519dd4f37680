"""What may be asked of the daemon about the devices that it checks."""

from __future__ import annotations

import msgspec

from .local import LocalAnswer, LocalRequest


class DevicesRequest(LocalRequest, frozen=True):
    """The devices that the GateManager wants checked, and what was found."""


class CheckedDevice(msgspec.Struct, frozen=True):
    """One of them; ``reachable`` is None before the first check. ``checked_at`` is Unix time."""

    address: str
    check: str
    reachable: bool | None
    checked_at: float
    text: str


class DevicesAnswer(LocalAnswer, frozen=True):
    """By address."""

    devices: tuple[CheckedDevice, ...]

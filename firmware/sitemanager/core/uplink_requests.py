"""What may be asked of the daemon about the ways out; see ``core.local_requests``."""

from __future__ import annotations

from typing import Literal

import msgspec

from .local import LocalAnswer, LocalRequest


class UplinksRequest(LocalRequest, frozen=True):
    """The ways out as they are now."""


class UplinkView(msgspec.Struct, frozen=True):
    """One way out."""

    name: str
    kind: Literal["ethernet", "wifi", "modem"]
    interface: str
    origin: Literal["dhcp", "fixed", "system", "modem"]
    """Of its address."""
    state: Literal["active", "standby", "failed"]
    text: str
    """Whether the GateManager is reached, and if not, why; in plain words."""
    reaches: bool | None = None
    """None: not tried yet."""
    overlaps: bool = False
    """Its network is the machine side's as well: it is not used."""
    address: str = ""
    """With its prefix."""
    gateway: str = ""
    dns: tuple[str, ...] = ()


class UplinksAnswer(LocalAnswer, frozen=True):
    """Best first; none where the system's own routes are used."""

    uplinks: tuple[UplinkView, ...]

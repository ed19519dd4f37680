"""An uplink in words: for the GateManager and for the set-up page. No I/O."""

from __future__ import annotations

from typing import Final, Literal

from gatelink.messages.appliance import UplinkState

from .uplink_requests import UplinkView
from .uplink_settings import UplinkConfig
from .uplinks import Seen

State = Literal["active", "standby", "failed"]
MOST_TEXT: Final = 128


def uplink_state(uplink: UplinkConfig, seen: Seen, active: str) -> UplinkState:
    """Return what the GateManager is told."""
    state, text = _state(uplink, seen, active), _text(seen)
    return UplinkState(uplink.name, uplink.kind, uplink.interface, state, seen.address, text[:MOST_TEXT])


def uplink_view(uplink: UplinkConfig, seen: Seen, active: str) -> UplinkView:
    """Return what the page shows."""
    return UplinkView(
        name=uplink.name,
        kind=uplink.kind,
        interface=uplink.interface,
        origin=_origin(uplink),
        state=_state(uplink, seen, active),
        text=_text(seen),
        reaches=seen.reaches,
        overlaps=seen.overlaps,
        address=f"{seen.address}/{seen.prefix_length}" if seen.address else "",
        gateway=seen.gateway,
        dns=seen.dns,
    )


def _origin(uplink: UplinkConfig) -> Literal["dhcp", "fixed", "system", "modem"]:
    if uplink.address:
        return "fixed"
    if uplink.dhcp:
        return "dhcp"
    return "modem" if uplink.apn else "system"


def _state(uplink: UplinkConfig, seen: Seen, active: str) -> State:
    if uplink.name == active:
        return "active"
    return "failed" if not seen.is_usable or seen.reaches is False else "standby"


def _text(seen: Seen) -> str:
    if seen.text:
        return seen.text
    if seen.reaches is None:
        return "not tried yet"
    if seen.reaches:
        return "reaches the GateManager"
    return f"does not reach the GateManager: {seen.why}" if seen.why else "does not reach the GateManager"

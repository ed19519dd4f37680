"""Who a device is, as far as one answer says."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import msgspec

from gatelink.messages import FoundDevice

from .vendors import vendor_of_mac

_PRESETS: Final = (
    ("s7", "s7"),
    ("ethernet-ip", "ethernet-ip"),
    ("opc-ua", "opcua"),
    ("modbus", "modbus"),
    ("bacnet", "bacnet"),
)
"""Protocol and preset; the first that a device speaks fits best."""


class Identity(msgspec.Struct, frozen=True, kw_only=True):
    """One answer. Empty means: it did not say."""

    protocol: str
    address: str = ""
    mac: str = ""
    vendor: str = ""
    model: str = ""
    name: str = ""
    serial: str = ""
    version: str = ""


def printable_text(data: bytes, limit: int = 128) -> str:
    """Return what a device wrote, in one line of printable characters."""
    text = data.split(b"\0")[0].decode("utf-8", errors="replace").strip()
    return "".join(character if character.isprintable() else "?" for character in text)[:limit]


def preset_for(protocols: Iterable[str]) -> str:
    """Return the preset that fits what a device speaks; empty if none does."""
    spoken = set(protocols)
    return next((preset for protocol, preset in _PRESETS if protocol in spoken), "")


def merged(identities: Iterable[Identity]) -> tuple[FoundDevice, ...]:
    """Return one device for all answers that came from it: from its address, or from its MAC if it has none.

    Where two answers differ the later one counts; ARP knows the least, so it comes first.
    """
    found: list[list[Identity]] = []
    by_address: dict[str, list[Identity]] = {}
    by_mac: dict[str, list[Identity]] = {}
    for identity in sorted(identities, key=lambda one: one.protocol != "arp"):
        group = by_address.get(identity.address) if identity.address else None
        if group is None and identity.mac and (not identity.address or identity.protocol != "arp"):
            group = by_mac.get(identity.mac)
        if group is None:
            group = []
            found.append(group)
        group.append(identity)
        if identity.address:
            by_address[identity.address] = group
        if identity.mac:
            by_mac.setdefault(identity.mac, group)
    return tuple(sorted((_device(group) for group in found), key=_place))


def _device(answers: list[Identity]) -> FoundDevice:
    def last(field: str, limit: int) -> str:
        return next((value for one in reversed(answers) if (value := getattr(one, field))), "")[:limit]

    protocols = tuple(dict.fromkeys(one.protocol for one in answers))[:16]
    mac = last("mac", 17)
    return FoundDevice(
        address=last("address", 15),
        mac=mac,
        vendor=last("vendor", 128) or vendor_of_mac(mac),
        model=last("model", 128),
        name=last("name", 128),
        serial=last("serial", 64),
        version=last("version", 64),
        protocols=protocols,
        preset=preset_for(protocols),
    )


def _place(device: FoundDevice) -> tuple[tuple[int, ...], str]:
    return tuple(int(part) for part in device.address.split(".") if part.isdecimal()), device.mac

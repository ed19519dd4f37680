"""Names for the numbers by which devices name their makers; those that plants have most of."""

from __future__ import annotations

from typing import Final

_OUI: Final = {
    "00:00:0a": "Omron",
    "00:00:54": "Schneider Electric",
    "00:00:bc": "Rockwell Automation",
    "00:01:05": "Beckhoff",
    "00:06:77": "SICK",
    "00:0a:86": "Lenze",
    "00:0e:8c": "Siemens",
    "00:1b:1b": "Siemens",
    "00:1d:9c": "Rockwell Automation",
    "00:20:b5": "Yaskawa",
    "00:30:de": "WAGO",
    "00:60:65": "B&R",
    "00:80:63": "Hirschmann",
    "00:80:f4": "Schneider Electric",
    "00:90:e8": "Moxa",
    "00:a0:45": "Phoenix Contact",
    "08:00:06": "Siemens",
    "28:63:36": "Siemens",
    "ac:64:17": "Siemens",
    "b8:27:eb": "Raspberry Pi",
    "dc:a6:32": "Raspberry Pi",
    "e4:5f:01": "Raspberry Pi",
}
"""IEEE's registry (MA-L)."""
_ETHERNET_IP: Final = {
    1: "Rockwell Automation",
    26: "Festo",
    40: "WAGO",
    47: "Omron",
    90: "HMS",
    108: "Beckhoff",
    243: "Schneider Electric",
    283: "Hilscher",
}
"""ODVA's vendor ids."""
_PROFINET: Final = {0x002A: "Siemens", 0x00B0: "Phoenix Contact"}
"""PI's vendor ids."""


def vendor_of_mac(mac: str) -> str:
    """Return the maker of a network interface; empty if it is none of these."""
    return _OUI.get(mac[:8].lower(), "")


def vendor_of_ethernet_ip(number: int) -> str:
    """Return the maker; its number if it is none of these."""
    return _ETHERNET_IP.get(number, f"ODVA vendor {number}")


def vendor_of_profinet(number: int) -> str:
    """Return the maker; its number if it is none of these."""
    return _PROFINET.get(number, f"PROFINET vendor {number:#06x}")

"""Addresses, neighbours and routes by the IP Helper API. Every call's result is looked at; errors are HostError."""

from __future__ import annotations

import ctypes
from collections.abc import Iterable
from ctypes import POINTER, byref, c_uint8, c_uint32, cast
from ipaddress import IPv4Address, IPv4Network
from typing import Any, Final

from gatelink.tunnel_mac import tunnel_mac
from lm_client.exceptions import HostError
from lm_client.service.rules import KernelRoute

from .layouts import (
    AF_INET,
    IpForwardRow2,
    IpForwardTable2,
    IpNetRow2,
    UnicastIpAddressRow,
    address_of,
    sockaddr,
)

NO_ERROR: Final = 0
ERROR_ACCESS_DENIED: Final = 5
ERROR_NOT_FOUND: Final = 1168
ERROR_OBJECT_ALREADY_EXISTS: Final = 5010
_PROTOCOL_NETMGMT: Final = 3
_STATE_PERMANENT: Final = 6
_INFINITE: Final = 0xFFFFFFFF
_ADVICE: Final = {
    ERROR_ACCESS_DENIED: "no right to change the network; the service must run as LocalSystem",
    ERROR_NOT_FOUND: "the adapter is not there; is the TAP driver installed?",
}


class IpHelper:
    """``dll`` is ``ctypes.windll.iphlpapi``."""

    def __init__(self, dll: Any) -> None:
        self._dll = dll

    def routes(self) -> list[KernelRoute]:
        """Return every IPv4 route. The interface is its index as text: Windows has no short names."""
        table = POINTER(IpForwardTable2)()
        self._check("GetIpForwardTable2", self._dll.GetIpForwardTable2(AF_INET, byref(table)))
        try:
            count = table.contents.count
            first = ctypes.addressof(table.contents) + IpForwardTable2.rows.offset
            rows = (IpForwardRow2 * count).from_address(first)
            return [_kernel_route(row) for row in rows]
        finally:
            self._dll.FreeMibTable(table)

    def set_address(self, luid: int, address: IPv4Address) -> None:
        """Give the adapter its one address, as a host: Windows then makes no route to a network."""
        row = UnicastIpAddressRow()
        self._dll.InitializeUnicastIpAddressEntry(byref(row))
        row.interface_luid, row.address = luid, sockaddr(address)
        row.on_link_prefix_length = 32
        row.valid_lifetime = row.preferred_lifetime = _INFINITE
        row.dad_state = 4  # IpDadStatePreferred: nobody else is on the link, and duplicate detection takes a second
        self._check(
            "CreateUnicastIpAddressEntry", self._dll.CreateUnicastIpAddressEntry(byref(row)), present_is_fine=True
        )

    def set_neighbour(self, luid: int, gateway: IPv4Address) -> None:
        """Make the SiteManager's end known without asking."""
        row = IpNetRow2()
        row.interface_luid, row.address = luid, sockaddr(gateway)
        mac = bytes.fromhex(tunnel_mac(str(gateway)).replace(":", ""))
        row.physical_address = (c_uint8 * 32)(*mac)
        row.physical_address_length = len(mac)
        row.state = _STATE_PERMANENT
        self._check("CreateIpNetEntry2", self._dll.CreateIpNetEntry2(byref(row)), present_is_fine=True)

    def set_routes(
        self, luid: int, gateway: IPv4Address, wanted: Iterable[IPv4Address], present: Iterable[IPv4Address]
    ) -> None:
        """Have host routes to exactly the ``wanted``; the gateway itself is on the link."""
        goal, now = {gateway, *wanted}, set(present)
        for device in sorted(now - goal):
            row = self._route(luid, device, gateway)
            self._check("DeleteIpForwardEntry2", self._dll.DeleteIpForwardEntry2(byref(row)), absent_is_fine=True)
        for device in sorted(goal - now, key=lambda each: (each != gateway, each)):
            row = self._route(luid, device, gateway)
            self._check("CreateIpForwardEntry2", self._dll.CreateIpForwardEntry2(byref(row)), present_is_fine=True)

    def _route(self, luid: int, device: IPv4Address, gateway: IPv4Address) -> IpForwardRow2:
        row = IpForwardRow2()
        self._dll.InitializeIpForwardEntry(byref(row))
        row.interface_luid = luid
        row.destination.prefix, row.destination.prefix_length = sockaddr(device), 32
        row.next_hop = sockaddr(IPv4Address(0) if device == gateway else gateway)
        row.metric, row.protocol = 0, _PROTOCOL_NETMGMT
        row.valid_lifetime = row.preferred_lifetime = _INFINITE
        return row

    def _check(self, call: str, status: int, *, present_is_fine: bool = False, absent_is_fine: bool = False) -> None:
        fine = {NO_ERROR}
        fine |= {ERROR_OBJECT_ALREADY_EXISTS} if present_is_fine else set()
        fine |= {ERROR_NOT_FOUND} if absent_is_fine else set()
        if status not in fine:
            raise HostError(f"{call} failed with error {status}: {_ADVICE.get(status, 'see `net helpmsg`')}")


def _kernel_route(row: IpForwardRow2) -> KernelRoute:
    destination = IPv4Network((address_of(row.destination.prefix), row.destination.prefix_length), strict=False)
    hop = address_of(row.next_hop)
    # A host route on the link itself, to the loopback flag: one of the PC's own addresses.
    kind = "local" if row.loopback else "unicast"
    return KernelRoute(destination, kind, str(row.interface_index), () if hop == IPv4Address(0) else (hop,))


def luid_of(dll: Any, guid: bytes) -> int:
    """Return the LUID of an adapter by its GUID (16 bytes as Windows lays them out). Raises HostError."""
    luid = ctypes.c_uint64()
    status: int = dll.ConvertInterfaceGuidToLuid(
        cast(ctypes.create_string_buffer(guid, 16), POINTER(c_uint32)), byref(luid)
    )
    if status != NO_ERROR:
        raise HostError(f"ConvertInterfaceGuidToLuid failed with error {status}")
    return luid.value

"""Addresses, neighbours and routes by the IP Helper API. Every call's result is looked at; errors are HostError."""

from __future__ import annotations

import ctypes
from collections.abc import Iterable, Mapping
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
    UnicastIpAddressTable,
    address_of,
    sockaddr,
)

NO_ERROR: Final = 0
ERROR_ACCESS_DENIED: Final = 5
ERROR_NOT_FOUND: Final = 1168
ERROR_OBJECT_ALREADY_EXISTS: Final = 5010
ON_LINK: Final = IPv4Address(0)
_PROTOCOL_NETMGMT: Final = 3
_STATE_PERMANENT: Final = 6
_INFINITE: Final = 0xFFFFFFFF
_ADVICE: Final = {
    ERROR_ACCESS_DENIED: "no right to change the network; the service must run as LocalSystem",
    ERROR_NOT_FOUND: "the adapter is not there; is the TAP driver installed?",
}


class IpHelper:
    """``dll`` is ``dlls.load("iphlpapi")``."""

    def __init__(self, dll: Any) -> None:
        self._dll = dll

    def routes(self) -> list[KernelRoute]:
        """Return every IPv4 route. The interface is its index as text: Windows has no short names."""
        return [_kernel_route(row) for row in self._rows()]

    def _rows(self) -> list[IpForwardRow2]:
        table = POINTER(IpForwardTable2)()
        self._check("GetIpForwardTable2", self._dll.GetIpForwardTable2(AF_INET, byref(table)))
        try:
            first = ctypes.addressof(table.contents) + IpForwardTable2.rows.offset
            rows = (IpForwardRow2 * table.contents.count).from_address(first)
            return [IpForwardRow2.from_buffer_copy(row) for row in rows]
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

    def addresses(self, luid: int) -> list[IPv4Address]:
        """Return the IPv4 addresses of an adapter."""
        table = POINTER(UnicastIpAddressTable)()
        self._check("GetUnicastIpAddressTable", self._dll.GetUnicastIpAddressTable(AF_INET, byref(table)))
        try:
            first = ctypes.addressof(table.contents) + UnicastIpAddressTable.rows.offset
            rows = (UnicastIpAddressRow * table.contents.count).from_address(first)
            return [address_of(row.address) for row in rows if row.interface_luid == luid]
        finally:
            self._dll.FreeMibTable(table)

    def remove_address(self, luid: int, address: IPv4Address) -> None:
        """Take an address away from an adapter."""
        row = UnicastIpAddressRow()
        self._dll.InitializeUnicastIpAddressEntry(byref(row))
        row.interface_luid, row.address = luid, sockaddr(address)
        self._check(
            "DeleteUnicastIpAddressEntry", self._dll.DeleteUnicastIpAddressEntry(byref(row)), absent_is_fine=True
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

    def host_routes(self, luid: int) -> dict[IPv4Address, IPv4Address]:
        """Return the host routes that were made through an adapter, by us or by hand: next hop by destination."""
        return {
            address_of(row.destination.prefix): address_of(row.next_hop)
            for row in self._rows()
            if row.interface_luid == luid and row.destination.prefix_length == 32 and row.protocol == _PROTOCOL_NETMGMT
        }

    def remove_routes(self, luid: int) -> int:
        """Remove all that ``host_routes`` returns; return how many they were."""
        found = self.host_routes(luid)
        for device, hop in found.items():
            row = self._route(luid, device, hop)
            self._check("DeleteIpForwardEntry2", self._dll.DeleteIpForwardEntry2(byref(row)), absent_is_fine=True)
        return len(found)

    def set_routes(
        self,
        luid: int,
        gateway: IPv4Address,
        wanted: Iterable[IPv4Address],
        present: Mapping[IPv4Address, IPv4Address],
    ) -> None:
        """Have host routes to exactly the ``wanted``; the gateway itself is on the link."""
        hops = dict.fromkeys(sorted(wanted), gateway)
        self._follow(luid, {gateway: ON_LINK, **hops}, present)

    def set_link_routes(
        self, luid: int, wanted: Iterable[IPv4Address], present: Mapping[IPv4Address, IPv4Address]
    ) -> None:
        """Have host routes to exactly the ``wanted``, all of them on the link itself."""
        self._follow(luid, dict.fromkeys(sorted(wanted), ON_LINK), present)

    def _follow(
        self, luid: int, goal: Mapping[IPv4Address, IPv4Address], present: Mapping[IPv4Address, IPv4Address]
    ) -> None:
        for device, hop in present.items():
            if goal.get(device) != hop:
                row = self._route(luid, device, hop)
                self._check("DeleteIpForwardEntry2", self._dll.DeleteIpForwardEntry2(byref(row)), absent_is_fine=True)
        for device, hop in goal.items():
            if present.get(device) != hop:
                row = self._route(luid, device, hop)
                self._check("CreateIpForwardEntry2", self._dll.CreateIpForwardEntry2(byref(row)), present_is_fine=True)

    def _route(self, luid: int, device: IPv4Address, hop: IPv4Address) -> IpForwardRow2:
        row = IpForwardRow2()
        self._dll.InitializeIpForwardEntry(byref(row))
        row.interface_luid = luid
        row.destination.prefix, row.destination.prefix_length = sockaddr(device), 32
        row.next_hop = sockaddr(hop)
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
    return KernelRoute(destination, kind, str(row.interface_index), () if hop == ON_LINK else (hop,))


def luid_of(dll: Any, guid: bytes) -> int:
    """Return the LUID of an adapter by its GUID (16 bytes as Windows lays them out). Raises HostError."""
    luid = ctypes.c_uint64()
    status: int = dll.ConvertInterfaceGuidToLuid(
        cast(ctypes.create_string_buffer(guid, 16), POINTER(c_uint32)), byref(luid)
    )
    if status != NO_ERROR:
        raise HostError(f"ConvertInterfaceGuidToLuid failed with error {status}")
    return luid.value

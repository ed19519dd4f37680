"""Structures of the Windows SDK (netioapi.h, ws2ipdef.h, minwinbase.h, winsvc.h), for 64-bit Windows.

Only types of fixed size are used: ``c_ulong`` is four bytes on Windows and eight on Linux, where this is tested.
"""

from __future__ import annotations

import ctypes
from ctypes import Structure, Union, c_int32, c_int64, c_uint8, c_uint16, c_uint32, c_uint64, c_void_p
from ipaddress import IPv4Address
from typing import Any, ClassVar, Final

AF_INET: Final = 2
Fields = list[tuple[str, Any]]


class SockaddrIn(Structure):
    """SOCKADDR_IN."""

    _fields_: ClassVar[Fields] = [
        ("family", c_uint16),
        ("port", c_uint16),
        ("address", c_uint8 * 4),
        ("zero", c_uint8 * 8),
    ]


class SockaddrIn6(Structure):
    """SOCKADDR_IN6."""

    _fields_: ClassVar[Fields] = [
        ("family", c_uint16),
        ("port", c_uint16),
        ("flow_info", c_uint32),
        ("address", c_uint8 * 16),
        ("scope_id", c_uint32),
    ]


class SockaddrInet(Union):
    """SOCKADDR_INET."""

    _fields_: ClassVar[Fields] = [("ipv4", SockaddrIn), ("ipv6", SockaddrIn6), ("family", c_uint16)]


class IpAddressPrefix(Structure):
    """IP_ADDRESS_PREFIX."""

    _fields_: ClassVar[Fields] = [("prefix", SockaddrInet), ("prefix_length", c_uint8)]


class IpForwardRow2(Structure):
    """MIB_IPFORWARD_ROW2."""

    _fields_: ClassVar[Fields] = [
        ("interface_luid", c_uint64),
        ("interface_index", c_uint32),
        ("destination", IpAddressPrefix),
        ("next_hop", SockaddrInet),
        ("site_prefix_length", c_uint8),
        ("valid_lifetime", c_uint32),
        ("preferred_lifetime", c_uint32),
        ("metric", c_uint32),
        ("protocol", c_uint32),
        ("loopback", c_uint8),
        ("autoconfigure_address", c_uint8),
        ("publish", c_uint8),
        ("immortal", c_uint8),
        ("age", c_uint32),
        ("origin", c_uint32),
    ]


class UnicastIpAddressRow(Structure):
    """MIB_UNICASTIPADDRESS_ROW."""

    _fields_: ClassVar[Fields] = [
        ("address", SockaddrInet),
        ("interface_luid", c_uint64),
        ("interface_index", c_uint32),
        ("prefix_origin", c_uint32),
        ("suffix_origin", c_uint32),
        ("valid_lifetime", c_uint32),
        ("preferred_lifetime", c_uint32),
        ("on_link_prefix_length", c_uint8),
        ("skip_as_source", c_uint8),
        ("dad_state", c_uint32),
        ("scope_id", c_uint32),
        ("creation_time_stamp", c_int64),
    ]


class IpNetRow2(Structure):
    """MIB_IPNET_ROW2."""

    _fields_: ClassVar[Fields] = [
        ("address", SockaddrInet),
        ("interface_index", c_uint32),
        ("interface_luid", c_uint64),
        ("physical_address", c_uint8 * 32),
        ("physical_address_length", c_uint32),
        ("state", c_uint32),
        ("flags", c_uint8),
        ("reachability_time", c_uint32),
    ]


class IpForwardTable2(Structure):
    """MIB_IPFORWARD_TABLE2: ``rows`` are as many as ``count`` says."""

    _fields_: ClassVar[Fields] = [("count", c_uint32), ("rows", IpForwardRow2 * 1)]


class Overlapped(Structure):
    """OVERLAPPED."""

    _fields_: ClassVar[Fields] = [
        ("internal", c_uint64),
        ("internal_high", c_uint64),
        ("offset", c_uint32),
        ("offset_high", c_uint32),
        ("event", c_void_p),
    ]


class UnicastIpAddressTable(Structure):
    """MIB_UNICASTIPADDRESS_TABLE: ``rows`` are as many as ``count`` says."""

    _fields_: ClassVar[Fields] = [("count", c_uint32), ("rows", UnicastIpAddressRow * 1)]


class SecurityAttributes(Structure):
    """SECURITY_ATTRIBUTES."""

    _fields_: ClassVar[Fields] = [("size", c_uint32), ("descriptor", c_void_p), ("inherit_handle", c_int32)]


class ServiceStatus(Structure):
    """SERVICE_STATUS."""

    _fields_: ClassVar[Fields] = [
        ("service_type", c_uint32),
        ("current_state", c_uint32),
        ("controls_accepted", c_uint32),
        ("exit_code", c_uint32),
        ("specific_exit_code", c_uint32),
        ("check_point", c_uint32),
        ("wait_hint_ms", c_uint32),
    ]


class ServiceTableEntry(Structure):
    """SERVICE_TABLE_ENTRYW; ``name`` is UTF-16 text."""

    _fields_: ClassVar[Fields] = [("name", c_void_p), ("main", c_void_p)]


def sockaddr(address: IPv4Address) -> SockaddrInet:
    """Return an address without a port."""
    found = SockaddrInet()
    found.ipv4.family = AF_INET
    found.ipv4.address = (c_uint8 * 4)(*address.packed)
    return found


def address_of(found: SockaddrInet) -> IPv4Address:
    """Return the IPv4 address in it."""
    return IPv4Address(bytes(found.ipv4.address))


def size_of(kind: type[Structure] | type[Union]) -> int:
    """Return the bytes of a structure."""
    return ctypes.sizeof(kind)

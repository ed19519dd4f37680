"""Structures and numbers of the Windows code against those that a C compiler printed from the headers of Windows.

``tests/vectors/windows/layouts.c`` says how ``layouts.txt`` is made anew.
"""

from __future__ import annotations

import ctypes
from pathlib import Path
from typing import Any

import pytest

from lm_client import launching
from lm_client.host.windows import com0com, ip_helper, layouts, overlapped, scm, security, tap_device
from lm_client.streams import pipe

_LINES = (Path(__file__).parents[1] / "vectors/windows/layouts.txt").read_text(encoding="ascii").splitlines()
SIZES = {line.split()[1]: int(line.split()[2]) for line in _LINES if line.startswith("size ")}
OFFSETS = {line.split()[1]: int(line.split()[2]) for line in _LINES if line.startswith("offset ")}
NUMBERS = {line[7:].rpartition(" ")[0]: int(line.rpartition(" ")[2]) for line in _LINES if line.startswith("number ")}

_STRUCTURES: dict[str, tuple[Any, dict[str, str]]] = {
    "SOCKADDR_IN": (
        layouts.SockaddrIn,
        {"sin_family": "family", "sin_port": "port", "sin_addr": "address", "sin_zero": "zero"},
    ),
    "SOCKADDR_IN6": (
        layouts.SockaddrIn6,
        {"sin6_flowinfo": "flow_info", "sin6_addr": "address", "sin6_scope_id": "scope_id"},
    ),
    "SOCKADDR_INET": (layouts.SockaddrInet, {"Ipv4": "ipv4", "Ipv6": "ipv6", "si_family": "family"}),
    "IP_ADDRESS_PREFIX": (layouts.IpAddressPrefix, {"Prefix": "prefix", "PrefixLength": "prefix_length"}),
    "MIB_IPFORWARD_ROW2": (
        layouts.IpForwardRow2,
        {
            "InterfaceLuid": "interface_luid",
            "InterfaceIndex": "interface_index",
            "DestinationPrefix": "destination",
            "NextHop": "next_hop",
            "SitePrefixLength": "site_prefix_length",
            "ValidLifetime": "valid_lifetime",
            "PreferredLifetime": "preferred_lifetime",
            "Metric": "metric",
            "Protocol": "protocol",
            "Loopback": "loopback",
            "AutoconfigureAddress": "autoconfigure_address",
            "Publish": "publish",
            "Immortal": "immortal",
            "Age": "age",
            "Origin": "origin",
        },
    ),
    "MIB_IPFORWARD_TABLE2": (layouts.IpForwardTable2, {"NumEntries": "count", "Table": "rows"}),
    "MIB_UNICASTIPADDRESS_ROW": (
        layouts.UnicastIpAddressRow,
        {
            "Address": "address",
            "InterfaceLuid": "interface_luid",
            "InterfaceIndex": "interface_index",
            "PrefixOrigin": "prefix_origin",
            "SuffixOrigin": "suffix_origin",
            "ValidLifetime": "valid_lifetime",
            "PreferredLifetime": "preferred_lifetime",
            "OnLinkPrefixLength": "on_link_prefix_length",
            "SkipAsSource": "skip_as_source",
            "DadState": "dad_state",
            "ScopeId": "scope_id",
            "CreationTimeStamp": "creation_time_stamp",
        },
    ),
    "MIB_UNICASTIPADDRESS_TABLE": (layouts.UnicastIpAddressTable, {"NumEntries": "count", "Table": "rows"}),
    "MIB_IPNET_ROW2": (
        layouts.IpNetRow2,
        {
            "Address": "address",
            "InterfaceIndex": "interface_index",
            "InterfaceLuid": "interface_luid",
            "PhysicalAddress": "physical_address",
            "PhysicalAddressLength": "physical_address_length",
            "State": "state",
            "ReachabilityTime": "reachability_time",
        },
    ),
    "OVERLAPPED": (
        layouts.Overlapped,
        {
            "Internal": "internal",
            "InternalHigh": "internal_high",
            "Offset": "offset",
            "OffsetHigh": "offset_high",
            "hEvent": "event",
        },
    ),
    "SECURITY_ATTRIBUTES": (
        layouts.SecurityAttributes,
        {"nLength": "size", "lpSecurityDescriptor": "descriptor", "bInheritHandle": "inherit_handle"},
    ),
    "SERVICE_STATUS": (
        layouts.ServiceStatus,
        {
            "dwServiceType": "service_type",
            "dwCurrentState": "current_state",
            "dwControlsAccepted": "controls_accepted",
            "dwWin32ExitCode": "exit_code",
            "dwServiceSpecificExitCode": "specific_exit_code",
            "dwCheckPoint": "check_point",
            "dwWaitHint": "wait_hint_ms",
        },
    ),
    "SERVICE_TABLE_ENTRYW": (layouts.ServiceTableEntry, {"lpServiceName": "name", "lpServiceProc": "main"}),
}
_NUMBERS = {
    "AF_INET": layouts.AF_INET,
    "MIB_IPPROTO_NETMGMT": ip_helper._PROTOCOL_NETMGMT,
    "NlnsPermanent": ip_helper._STATE_PERMANENT,
    "IpDadStatePreferred": 4,
    "ERROR_ACCESS_DENIED": ip_helper.ERROR_ACCESS_DENIED,
    "ERROR_NOT_FOUND": ip_helper.ERROR_NOT_FOUND,
    "ERROR_OBJECT_ALREADY_EXISTS": ip_helper.ERROR_OBJECT_ALREADY_EXISTS,
    "ERROR_IO_PENDING": overlapped.ERROR_IO_PENDING,
    "ERROR_OPERATION_ABORTED": overlapped.ERROR_OPERATION_ABORTED,
    "ERROR_BROKEN_PIPE": overlapped.ERROR_BROKEN_PIPE,
    "ERROR_PIPE_BUSY": pipe._ERROR_PIPE_BUSY,
    "ERROR_NO_DATA": pipe._ERROR_NO_DATA,
    "ERROR_PIPE_NOT_CONNECTED": pipe._ERROR_NOT_CONNECTED,
    "ERROR_PIPE_CONNECTED": overlapped._PIPE_CONNECTED,
    "ERROR_INVALID_PARAMETER": next(iter(tap_device._REFUSES_ONE_FRAME)),
    "ERROR_CALL_NOT_IMPLEMENTED": scm.ERROR_CALL_NOT_IMPLEMENTED,
    "ERROR_SERVICE_SPECIFIC_ERROR": scm.ERROR_SERVICE_SPECIFIC_ERROR,
    "ERROR_FAILED_SERVICE_CONTROLLER_CONNECT": scm.ERROR_NOT_STARTED_BY_SCM,
    "WAIT_TIMEOUT": 258,
    "INFINITE": overlapped.INFINITE,
    "GENERIC_READ | GENERIC_WRITE": tap_device._GENERIC_READ_WRITE,
    "OPEN_EXISTING": tap_device._OPEN_EXISTING,
    "FILE_ATTRIBUTE_SYSTEM": tap_device._FILE_ATTRIBUTE_SYSTEM,
    "FILE_FLAG_OVERLAPPED": tap_device._FILE_FLAG_OVERLAPPED,
    "PIPE_ACCESS_DUPLEX": pipe._DUPLEX_OVERLAPPED & 0xFF,
    "FILE_FLAG_FIRST_PIPE_INSTANCE": pipe._FIRST_INSTANCE,
    "PIPE_REJECT_REMOTE_CLIENTS": pipe._REJECT_REMOTE,
    "PIPE_UNLIMITED_INSTANCES": pipe._MAX_INSTANCES,
    "SECURITY_SQOS_PRESENT | SECURITY_IDENTIFICATION": pipe._CLIENT_FLAGS & ~tap_device._FILE_FLAG_OVERLAPPED,
    "FILE_READ_DATA | FILE_WRITE_DATA | FILE_READ_ATTRIBUTES | FILE_WRITE_ATTRIBUTES | READ_CONTROL | SYNCHRONIZE": (
        pipe._USE_RIGHTS
    ),
    "PROCESS_DUP_HANDLE": pipe._DUP_HANDLE,
    "DUPLICATE_SAME_ACCESS": pipe._SAME_ACCESS,
    "TOKEN_QUERY": security._TOKEN_QUERY,
    "TokenUser": security._TOKEN_USER,
    "OWNER_SECURITY_INFORMATION": security._OWNER,
    "SE_KERNEL_OBJECT": security._KERNEL_OBJECT,
    "SERVICE_WIN32_OWN_PROCESS": scm.OWN_PROCESS,
    "SERVICE_STOPPED": scm.STOPPED,
    "SERVICE_START_PENDING": scm.START_PENDING,
    "SERVICE_STOP_PENDING": scm.STOP_PENDING,
    "SERVICE_RUNNING": scm.RUNNING,
    "SERVICE_ACCEPT_STOP | SERVICE_ACCEPT_SHUTDOWN": scm.ACCEPT_STOP_AND_SHUTDOWN,
    "SERVICE_CONTROL_STOP": scm.CONTROL_STOP,
    "SERVICE_CONTROL_INTERROGATE": scm.CONTROL_INTERROGATE,
    "SERVICE_CONTROL_SHUTDOWN": scm.CONTROL_SHUTDOWN,
    "CREATE_NO_WINDOW | CREATE_NEW_PROCESS_GROUP": launching._WINDOWS_FLAGS,
    "CTL_CODE(FILE_DEVICE_UNKNOWN, 3, METHOD_BUFFERED, FILE_ANY_ACCESS)": tap_device.GET_MTU,
    "CTL_CODE(FILE_DEVICE_UNKNOWN, 6, METHOD_BUFFERED, FILE_ANY_ACCESS)": tap_device.SET_MEDIA_STATUS,
    "CTL_CODE(FILE_DEVICE_SERIAL_PORT, 31, METHOD_BUFFERED, FILE_ANY_ACCESS)": com0com.LSRMST_INSERT,
}


@pytest.mark.parametrize("name", _STRUCTURES)
def test_structure_is_that_of_the_headers(name: str) -> None:
    kind, members = _STRUCTURES[name]
    assert ctypes.sizeof(kind) == SIZES[name]
    printed = {key.partition(".")[2]: offset for key, offset in OFFSETS.items() if key.partition(".")[0] == name}
    assert {member: getattr(kind, ours).offset for member, ours in members.items()} == printed


def test_numbers_are_those_of_the_headers() -> None:
    # What is not to be in the rights of a pipe's users is no number of the code.
    assert {name: NUMBERS[name] for name in NUMBERS if name != "FILE_CREATE_PIPE_INSTANCE"} == _NUMBERS
    assert not pipe._USE_RIGHTS & NUMBERS["FILE_CREATE_PIPE_INSTANCE"]


def test_token_user_has_room() -> None:
    assert SIZES["TOKEN_USER"] + 68 <= security._TOKEN_BYTES


def test_every_structure_that_was_printed_is_compared() -> None:
    assert set(_STRUCTURES) | {"TOKEN_USER"} == set(SIZES)

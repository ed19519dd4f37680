"""The Windows adapter against written-down layouts of the SDK, and its calls against a DLL that plays Windows.

Sizes and offsets are those of the 64-bit SDK's netioapi.h, ws2ipdef.h and minwinbase.h.
"""

from __future__ import annotations

import ctypes
from collections.abc import Mapping
from ipaddress import IPv4Address, IPv4Network
from typing import Any

import pytest

from lm_client.exceptions import HostError
from lm_client.host.windows import layouts, nrpt
from lm_client.host.windows.ip_helper import ERROR_NOT_FOUND, ERROR_OBJECT_ALREADY_EXISTS, IpHelper, luid_of
from lm_client.host.windows.tap_device import (
    ERROR_IO_PENDING,
    ERROR_OPERATION_ABORTED,
    GET_MTU,
    SET_MEDIA_STATUS,
    TapDevice,
    find_adapters,
)
from lm_client.service.rules import KernelRoute

LUID = 0x6000001000000
PLC, HMI, GATEWAY = IPv4Address("192.168.50.10"), IPv4Address("192.168.50.11"), IPv4Address("198.18.0.1")
GUID = "{11223344-5566-7788-99AA-BBCCDDEEFF00}"


@pytest.mark.parametrize(
    ("kind", "size", "offsets"),
    [
        (layouts.SockaddrIn, 16, {"family": 0, "port": 2, "address": 4}),
        (layouts.SockaddrIn6, 28, {"flow_info": 4, "address": 8, "scope_id": 24}),
        (layouts.SockaddrInet, 28, {"ipv4": 0, "ipv6": 0, "family": 0}),
        (layouts.IpAddressPrefix, 32, {"prefix": 0, "prefix_length": 28}),
        (
            layouts.IpForwardRow2,
            104,
            {
                "interface_luid": 0,
                "interface_index": 8,
                "destination": 12,
                "next_hop": 44,
                "site_prefix_length": 72,
                "valid_lifetime": 76,
                "preferred_lifetime": 80,
                "metric": 84,
                "protocol": 88,
                "loopback": 92,
                "autoconfigure_address": 93,
                "publish": 94,
                "immortal": 95,
                "age": 96,
                "origin": 100,
            },
        ),
        (
            layouts.UnicastIpAddressRow,
            80,
            {
                "address": 0,
                "interface_luid": 32,
                "interface_index": 40,
                "prefix_origin": 44,
                "suffix_origin": 48,
                "valid_lifetime": 52,
                "preferred_lifetime": 56,
                "on_link_prefix_length": 60,
                "skip_as_source": 61,
                "dad_state": 64,
                "scope_id": 68,
                "creation_time_stamp": 72,
            },
        ),
        (
            layouts.IpNetRow2,
            88,
            {
                "address": 0,
                "interface_index": 28,
                "interface_luid": 32,
                "physical_address": 40,
                "physical_address_length": 72,
                "state": 76,
                "flags": 80,
                "reachability_time": 84,
            },
        ),
        (layouts.IpForwardTable2, 112, {"count": 0, "rows": 8}),
        (layouts.Overlapped, 32, {"internal": 0, "internal_high": 8, "offset": 16, "offset_high": 20, "event": 24}),
    ],
    ids=lambda value: value.__name__ if isinstance(value, type) else "",
)
def test_layout_is_the_sdks(kind: Any, size: int, offsets: dict[str, int]) -> None:
    assert layouts.size_of(kind) == size
    assert {name: getattr(kind, name).offset for name in offsets} == offsets


def test_control_codes_are_the_drivers() -> None:
    assert (GET_MTU, SET_MEDIA_STATUS) == (0x22000C, 0x220018)


class FakeIpHelper:
    """iphlpapi.dll: remembers copies of the rows that it was given."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, Any]] = []
        self.answers: dict[str, int] = {}
        self.rows: list[layouts.IpForwardRow2] = []
        self.freed = 0

    def __getattr__(self, name: str) -> Any:
        def call(pointer: Any) -> int:
            row = type(pointer._obj)()
            ctypes.memmove(ctypes.byref(row), pointer, ctypes.sizeof(row))
            self.calls.append((name, row))
            return self.answers.get(name, 0)

        return call

    def GetIpForwardTable2(self, family: int, pointer: Any) -> int:  # noqa: N802
        assert family == 2
        size = 8 + 104 * len(self.rows)
        self._memory = ctypes.create_string_buffer(size)
        ctypes.memmove(self._memory, ctypes.byref(ctypes.c_uint32(len(self.rows))), 4)
        for number, row in enumerate(self.rows):
            ctypes.memmove(ctypes.addressof(self._memory) + 8 + 104 * number, ctypes.byref(row), 104)
        pointer._obj.contents = layouts.IpForwardTable2.from_address(ctypes.addressof(self._memory))
        return 0

    def FreeMibTable(self, _table: Any) -> None:  # noqa: N802
        self.freed += 1

    def ConvertInterfaceGuidToLuid(self, guid: Any, luid: Any) -> int:  # noqa: N802
        assert ctypes.string_at(guid, 2) == b"\x44\x33"
        luid._obj.value = LUID
        return 0


def _destinations(dll: FakeIpHelper, name: str) -> list[str]:
    return [str(layouts.address_of(row.destination.prefix)) for call, row in dll.calls if call == name]


def test_exactly_host_routes_are_made_and_removed() -> None:
    dll = FakeIpHelper()
    IpHelper(dll).set_routes(LUID, GATEWAY, [PLC], [HMI])
    assert _destinations(dll, "DeleteIpForwardEntry2") == [str(HMI)]
    assert _destinations(dll, "CreateIpForwardEntry2") == [str(GATEWAY), str(PLC)]
    rows = [row for name, row in dll.calls if name == "CreateIpForwardEntry2"]
    assert {row.destination.prefix_length for row in rows} == {32}
    assert {row.interface_luid for row in rows} == {LUID}
    assert [str(layouts.address_of(row.next_hop)) for row in rows] == ["0.0.0.0", str(GATEWAY)]
    # As the documentation asks: each row is initialised before it is filled.
    names = [name for name, _ in dll.calls]
    assert (
        names
        == ["InitializeIpForwardEntry", "DeleteIpForwardEntry2"]
        + [
            "InitializeIpForwardEntry",
            "CreateIpForwardEntry2",
        ]
        * 2
    )


def test_route_that_is_there_or_gone_already_is_no_error() -> None:
    dll = FakeIpHelper()
    dll.answers = {"CreateIpForwardEntry2": ERROR_OBJECT_ALREADY_EXISTS, "DeleteIpForwardEntry2": ERROR_NOT_FOUND}
    IpHelper(dll).set_routes(LUID, GATEWAY, [PLC], [HMI])
    dll.answers = {"CreateIpForwardEntry2": 5}
    with pytest.raises(HostError, match="CreateIpForwardEntry2 failed with error 5: no right"):
        IpHelper(dll).set_routes(LUID, GATEWAY, [PLC], [])


def test_address_is_a_host_and_the_gateway_a_permanent_neighbour() -> None:
    dll = FakeIpHelper()
    IpHelper(dll).set_address(LUID, IPv4Address("198.18.0.2"))
    IpHelper(dll).set_neighbour(LUID, GATEWAY)
    (_, (_, address), (_, neighbour)) = dll.calls
    assert (address.on_link_prefix_length, address.dad_state, address.interface_luid) == (32, 4, LUID)
    assert bytes(neighbour.physical_address)[:6].hex(":") == "02:67:6c:12:00:01"
    assert (neighbour.physical_address_length, neighbour.state) == (6, 6)


def test_routes_are_read_and_the_table_given_back() -> None:
    dll = FakeIpHelper()
    default, own = layouts.IpForwardRow2(), layouts.IpForwardRow2()
    default.destination.prefix = layouts.sockaddr(IPv4Address(0))
    default.next_hop = layouts.sockaddr(IPv4Address("10.0.0.1"))
    default.interface_index = own.interface_index = 7
    own.destination.prefix, own.destination.prefix_length = layouts.sockaddr(IPv4Address("10.0.0.9")), 32
    own.loopback = 1
    dll.rows = [default, own]
    assert IpHelper(dll).routes() == [
        KernelRoute(IPv4Network("0.0.0.0/0"), "unicast", "7", (IPv4Address("10.0.0.1"),)),
        KernelRoute(IPv4Network("10.0.0.9/32"), "local", "7", ()),
    ]
    assert dll.freed == 1


def test_luid_is_asked_for_by_the_guid() -> None:
    assert luid_of(FakeIpHelper(), bytes.fromhex("44332211665588770011223344556677")) == LUID


class FakeKernel32:
    """kernel32.dll around one TAP adapter."""

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.opened: list[tuple[Any, ...]] = []
        self.error = 0
        self.pending = False
        self.frame = b""

    def CreateFileW(self, *arguments: Any) -> int:  # noqa: N802
        self.opened.append(arguments)
        return -1 if self.error else 42

    def CreateEventW(self, *arguments: Any) -> int:  # noqa: N802
        assert arguments == (None, True, False, None)  # by hand, not set
        return 7

    def DeviceIoControl(self, handle: int, code: int, value: Any, *_: Any) -> int:  # noqa: N802
        self.calls.append(f"control {handle} {code:#x} {value._obj.value}")
        return 1

    def ReadFile(self, handle: int, buffer: Any, size: int, moved: Any, overlapped: Any) -> int:  # noqa: N802
        assert overlapped._obj.event == 7
        if self.error or self.pending:
            self.error = self.error or ERROR_IO_PENDING
            return 0
        ctypes.memmove(buffer, self.frame, min(size, len(self.frame)))
        moved._obj.value = len(self.frame)
        return 1

    WriteFile = ReadFile

    def WaitForSingleObject(self, _event: int, timeout_ms: int) -> int:  # noqa: N802
        self.calls.append(f"wait {timeout_ms}")
        return 0 if self.frame else 0x102

    def CancelIoEx(self, handle: int, overlapped: Any) -> int:  # noqa: N802
        self.calls.append("cancel")
        return 1

    def GetOverlappedResult(self, handle: int, overlapped: Any, moved: Any, wait: bool) -> int:  # noqa: N802
        self.calls.append(f"result {wait}")
        moved._obj.value = len(self.frame)
        self.error = 0 if self.frame else ERROR_OPERATION_ABORTED
        return int(bool(self.frame))

    def CloseHandle(self, handle: int) -> int:  # noqa: N802
        self.calls.append(f"close {handle}")
        return 1

    def GetLastError(self) -> int:  # noqa: N802
        return self.error


def test_adapter_is_opened_plugged_in_and_closed_once() -> None:
    kernel32 = FakeKernel32()
    device = TapDevice(kernel32, GUID)
    (opened,) = kernel32.opened
    assert opened == (f"\\\\.\\Global\\{GUID}.tap", 0xC0000000, 0, None, 3, 0x40000004, None)
    device.set_connected(connected=True)
    device.close()
    device.close()
    assert kernel32.calls == ["control 42 0x220018 1", "cancel", "close 7", "close 7", "close 42"]


def test_frame_is_read_at_once_later_or_not_in_time() -> None:
    kernel32 = FakeKernel32()
    device = TapDevice(kernel32, GUID)
    buffer = ctypes.create_string_buffer(1600)
    kernel32.frame = b"frame"
    assert device.read(buffer, 1600, 100) == 5
    assert buffer.raw[:5] == b"frame"
    kernel32.pending = True
    assert device.read(buffer, 1600, 100) == 5
    assert kernel32.calls == ["wait 100", "result True"]
    kernel32.calls.clear()
    kernel32.frame = b""
    kernel32.error = 0
    assert device.read(buffer, 1600, 50) == 0
    assert kernel32.calls == ["wait 50", "cancel", "result True"]  # never left to the driver after we returned


def test_adapter_that_is_taken_or_gone_is_told_in_one_line() -> None:
    kernel32 = FakeKernel32()
    device = TapDevice(kernel32, GUID)
    kernel32.error = 31
    with pytest.raises(HostError, match="is gone: error 31"):
        device.write(b"x", 1, 10)
    with pytest.raises(HostError, match=r"cannot open the TAP adapter .*: error 31"):
        TapDevice(kernel32, GUID)


def test_adapters_are_found_by_their_component_alone() -> None:
    classes = [
        {"ComponentId": "tap0901", "NetCfgInstanceId": "{A}"},
        {"ComponentId": "ROOT\\TAP0901", "NetCfgInstanceId": "{B}"},
        {"ComponentId": "pci\\ven_8086", "NetCfgInstanceId": "{C}"},
        {"ComponentId": "tap0901"},
        {},
    ]
    assert find_adapters(classes) == ["{A}", "{B}"]


class FakeRegistry:
    def __init__(self) -> None:
        self.keys: dict[str, dict[str, Any]] = {}

    def write(self, key: str, values: Mapping[str, int | str | list[str]]) -> None:
        self.keys[key] = dict(values)

    def delete(self, key: str) -> bool:
        return self.keys.pop(key, None) is not None


def test_rule_for_names_is_for_the_suffix_alone_and_goes_without_a_trace() -> None:
    registry = FakeRegistry()
    nrpt.apply(registry, "127.71.76.1")
    nrpt.apply(registry, "127.71.76.1")
    ((key, values),) = registry.keys.items()
    assert key.startswith(r"SYSTEM\CurrentControlSet\Services\Dnscache\Parameters\DnsPolicyConfig\{")
    expected = {"Version": 2, "Name": [".gatelink"], "ConfigOptions": 8, "GenericDNSServers": "127.71.76.1"}
    assert values == expected
    assert nrpt.clean_up(registry) == ["the rule for .gatelink"]
    assert nrpt.clean_up(registry) == []
    nrpt.apply(registry, "")
    assert registry.keys == {}

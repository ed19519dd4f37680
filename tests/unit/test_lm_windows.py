"""The Windows adapter's calls against DLLs that play Windows. Layouts: ``test_lm_windows_layouts``."""

from __future__ import annotations

import ctypes
import socket
from collections.abc import Mapping
from ipaddress import IPv4Address, IPv4Interface, IPv4Network
from typing import Any

import pytest

from gatelink.exceptions import TapError
from lm_client.exceptions import HostError
from lm_client.host import Bridge
from lm_client.host.windows import layouts, nrpt
from lm_client.host.windows.ip_helper import ERROR_NOT_FOUND, ERROR_OBJECT_ALREADY_EXISTS, IpHelper, luid_of
from lm_client.host.windows.names import Relay, WindowsNames
from lm_client.host.windows.network import WindowsNetwork
from lm_client.host.windows.overlapped import ERROR_IO_PENDING, ERROR_OPERATION_ABORTED
from lm_client.host.windows.tap_device import ADAPTER_CLASS, CONNECTIONS, find_adapters, open_tap
from lm_client.service.protocol import HostName
from lm_client.service.rules import KernelRoute

LUID = 0x6000001000000
PLC, HMI, GATEWAY = IPv4Address("192.168.50.10"), IPv4Address("192.168.50.11"), IPv4Address("198.18.0.1")
GUID = "{11223344-5566-7788-99AA-BBCCDDEEFF00}"


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
    IpHelper(dll).set_routes(LUID, GATEWAY, [PLC], {HMI: GATEWAY})
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
    IpHelper(dll).set_routes(LUID, GATEWAY, [PLC], {HMI: GATEWAY})
    dll.answers = {"CreateIpForwardEntry2": 5}
    with pytest.raises(HostError, match="CreateIpForwardEntry2 failed with error 5: no right"):
        IpHelper(dll).set_routes(LUID, GATEWAY, [PLC], {})


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
    """kernel32.dll around one TAP adapter; events are numbers, from 7 on."""

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.opened: list[tuple[Any, ...]] = []
        self.error = 0
        self.pending = False
        self.interrupted = False
        self.frame = b""
        self.written: list[bytes] = []
        self.taken: set[str] = set()
        self._events = 6

    def CreateFileW(self, *arguments: Any) -> int:  # noqa: N802
        self.opened.append(arguments)
        return -1 if self.error or arguments[0] in self.taken else 42

    def CreateEventW(self, security: None, by_hand: bool, is_set: bool, name: None) -> int:  # noqa: N802
        assert (security, is_set, name) == (None, False, None)
        self._events += 1
        # What overlapped I/O sets must stay set until the next call, an interruption is for one wait.
        assert by_hand == (self._events % 3 != 0)
        return self._events

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

    def WriteFile(self, handle: int, buffer: Any, size: int, moved: Any, overlapped: Any) -> int:  # noqa: N802
        assert overlapped._obj.event == 8
        if self.error:
            return 0
        self.written.append(ctypes.string_at(buffer, size))
        moved._obj.value = size
        return 1

    def WaitForMultipleObjects(self, count: int, events: Any, every: int, timeout_ms: int) -> int:  # noqa: N802
        self.calls.append(f"wait {list(events)[:count]} {timeout_ms}")
        if self.interrupted:
            return 1
        return 0 if self.frame else 0x102

    def SetEvent(self, event: int) -> int:  # noqa: N802
        self.interrupted = event == 9
        return 1

    def CancelIoEx(self, handle: int, overlapped: Any) -> int:  # noqa: N802
        self.calls.append("cancel")
        return 1

    def GetOverlappedResult(self, handle: int, overlapped: Any, moved: Any, wait: int) -> int:  # noqa: N802
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
    device = open_tap(kernel32, GUID)
    (opened,) = kernel32.opened
    assert opened == (f"\\\\.\\Global\\{GUID}.tap", 0xC0000000, 0, None, 3, 0x40000004, None)
    device.set_connected(connected=True)
    device.close()
    device.close()
    assert kernel32.calls == ["control 42 0x220018 1", "cancel", "close 7", "close 8", "close 9", "close 42"]


def test_frame_is_read_at_once_later_or_until_somebody_interrupts() -> None:
    kernel32 = FakeKernel32()
    device = open_tap(kernel32, GUID)
    view = memoryview(bytearray(1600))
    kernel32.frame = b"frame"
    assert device.read_frame(view) == 5
    assert bytes(view[:5]) == b"frame"
    kernel32.pending = True
    assert device.read_frame(view) == 5
    assert kernel32.calls == ["wait [7, 9] 4294967295", "result 1"]
    kernel32.calls.clear()
    kernel32.error, kernel32.frame = 0, b""
    device.interrupt()
    assert device.read_frame(view) == 0
    # Never left to the driver after we returned.
    assert kernel32.calls == ["wait [7, 9] 4294967295", "cancel", "result 1"]


def test_frame_that_came_while_it_was_called_off_is_not_lost() -> None:
    kernel32 = FakeKernel32()
    device = open_tap(kernel32, GUID)
    kernel32.pending, kernel32.frame = True, b"frame"
    device.interrupt()
    assert device.read_frame(memoryview(bytearray(1600))) == 5
    assert kernel32.calls[-2:] == ["cancel", "result 1"]


def test_one_frame_is_refused_or_the_adapter_is_gone() -> None:
    kernel32 = FakeKernel32()
    device = open_tap(kernel32, GUID)
    assert device.write_frame(memoryview(b"x" * 60)) == 60
    assert kernel32.written == [b"x" * 60]
    kernel32.error = 87
    with pytest.raises(OSError, match="error 87"):
        device.write_frame(memoryview(b"x"))
    kernel32.error = 31
    with pytest.raises(TapError, match=r"the device does not work \(error 31\): the adapter was removed"):
        device.write_frame(memoryview(b"x"))
    with pytest.raises(TapError, match="error 31"):
        device.read_frame(memoryview(bytearray(100)))
    with pytest.raises(HostError, match=r"cannot open the TAP adapter .*: error 31"):
        open_tap(kernel32, GUID)


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

    def values(self, key: str) -> dict[str, str]:
        return {name: value for name, value in self.keys.get(key, {}).items() if isinstance(value, str)}

    def subkeys(self, key: str) -> list[str]:
        return sorted({found[len(key) + 1 :].split("\\")[0] for found in self.keys if found.startswith(f"{key}\\")})

    def write(self, key: str, values: Mapping[str, int | str | list[str]]) -> None:
        self.keys[key] = dict(values)

    def delete(self, key: str) -> bool:
        return self.keys.pop(key, None) is not None

    def add_adapter(self, number: int, name: str) -> str:
        guid = f"{{11223344-5566-7788-99AA-BBCCDDEEFF{number:02X}}}"
        self.keys[f"{ADAPTER_CLASS}\\{number:04}"] = {"ComponentId": "tap0901", "NetCfgInstanceId": guid}
        self.keys[f"{CONNECTIONS}\\{guid}\\Connection"] = {"Name": name}
        return guid


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


class FakePc(FakeIpHelper):
    """iphlpapi.dll that keeps what it was told: routes and addresses of one adapter."""

    def __init__(self) -> None:
        super().__init__()
        self.addresses: list[layouts.UnicastIpAddressRow] = []

    def CreateIpForwardEntry2(self, pointer: Any) -> int:  # noqa: N802
        self.rows.append(layouts.IpForwardRow2.from_buffer_copy(pointer._obj))
        return 0

    def DeleteIpForwardEntry2(self, pointer: Any) -> int:  # noqa: N802
        wanted = pointer._obj
        before = len(self.rows)
        self.rows = [row for row in self.rows if (_key(row) != _key(wanted))]
        return 0 if len(self.rows) < before else ERROR_NOT_FOUND

    def CreateUnicastIpAddressEntry(self, pointer: Any) -> int:  # noqa: N802
        row = layouts.UnicastIpAddressRow.from_buffer_copy(pointer._obj)
        if layouts.address_of(row.address) in map(_address, self.addresses):
            return ERROR_OBJECT_ALREADY_EXISTS
        self.addresses.append(row)
        return 0

    def DeleteUnicastIpAddressEntry(self, pointer: Any) -> int:  # noqa: N802
        gone = layouts.address_of(pointer._obj.address)
        self.addresses = [row for row in self.addresses if _address(row) != gone]
        return 0

    def GetUnicastIpAddressTable(self, _family: int, pointer: Any) -> int:  # noqa: N802
        self._table = ctypes.create_string_buffer(8 + 80 * (len(self.addresses) + 1))
        ctypes.memmove(self._table, ctypes.byref(ctypes.c_uint32(len(self.addresses))), 4)
        for number, row in enumerate(self.addresses):
            ctypes.memmove(ctypes.addressof(self._table) + 8 + 80 * number, ctypes.byref(row), 80)
        pointer._obj.contents = layouts.UnicastIpAddressTable.from_address(ctypes.addressof(self._table))
        return 0

    @property
    def hops(self) -> dict[str, str]:
        """Next hop by destination."""
        return {destination: hop for _luid, destination, hop in map(_key, self.rows)}


def _key(row: layouts.IpForwardRow2) -> tuple[int, str, str]:
    return row.interface_luid, str(layouts.address_of(row.destination.prefix)), str(layouts.address_of(row.next_hop))


def _address(row: layouts.UnicastIpAddressRow) -> IPv4Address:
    return layouts.address_of(row.address)


def _pc() -> tuple[FakePc, FakeKernel32, FakeRegistry, WindowsNetwork]:
    pc, kernel32, registry = FakePc(), FakeKernel32(), FakeRegistry()
    registry.add_adapter(1, "Gatelink 2")
    registry.add_adapter(2, "Gatelink")
    registry.add_adapter(3, "OpenVPN TAP")
    registry.add_adapter(4, "Gatelinker")
    return pc, kernel32, registry, WindowsNetwork(pc, kernel32, registry)


def test_session_has_exactly_its_routes_on_windows_and_leaves_nothing() -> None:
    pc, kernel32, _registry, network = _pc()
    others = layouts.IpForwardRow2(interface_luid=1, protocol=3)
    others.destination.prefix_length = 32
    pc.rows = [others]
    assert list(network.adapters()) == ["Gatelink", "Gatelink 2"]
    adapter = network.open("press", IPv4Address("198.18.0.2"), GATEWAY, 1500)
    assert adapter.name == "Gatelink"
    network.apply(adapter, [PLC])
    network.apply(adapter, [HMI, PLC])
    network.apply(adapter, [HMI])
    assert pc.hops == {"0.0.0.0": "0.0.0.0", str(GATEWAY): "0.0.0.0", str(HMI): str(GATEWAY)}
    assert [str(_address(row)) for row in pc.addresses] == ["198.18.0.2"]
    network.remove(adapter)
    assert [bytes(row) for row in pc.rows] == [bytes(others)]
    assert not pc.addresses
    assert [call for call in kernel32.calls if call.startswith("control")] == [
        "control 42 0x220018 1",
        "control 42 0x220018 0",
    ]
    assert kernel32.calls[-1] == "close 42"


def test_bridged_adapter_has_its_devices_on_the_link_on_windows() -> None:
    pc, _kernel32, _registry, network = _pc()
    plant = IPv4Interface("192.168.50.77/24")
    adapter = network.open("press", IPv4Address("198.18.0.2"), GATEWAY, 1500, Bridge(plant))
    network.apply(adapter, [PLC])
    assert pc.hops == {str(PLC): "0.0.0.0"}
    assert [_address(row) for row in pc.addresses] == [plant.ip]


def test_what_a_killed_service_left_is_removed_on_windows() -> None:
    pc, _kernel32, _registry, network = _pc()
    adapter = network.open("press", IPv4Address("198.18.0.2"), GATEWAY, 1500)
    network.apply(adapter, [PLC])
    assert network.clean_up() == ["Gatelink"]  # both have the LUID of the fake: the first takes all
    assert not pc.rows
    assert network.clean_up() == []


def test_next_adapter_is_taken_when_one_is_in_use_on_windows() -> None:
    _iphlpapi, kernel32, registry, network = _pc()
    ours = network.adapters()
    kernel32.taken = {f"\\\\.\\Global\\{ours['Gatelink']}.tap"}
    assert network.open("a", PLC, GATEWAY, 1500).name == "Gatelink 2"
    kernel32.taken |= {f"\\\\.\\Global\\{ours['Gatelink 2']}.tap"}
    with pytest.raises(HostError, match="all 2 TAP adapters named Gatelink are in use"):
        network.open("a", PLC, GATEWAY, 1500)
    registry.keys.clear()
    with pytest.raises(HostError, match="no TAP adapter named Gatelink: install"):
        network.open("a", PLC, GATEWAY, 1500)


def test_names_are_answered_by_the_agent_while_anybody_has_some() -> None:
    registry, told = FakeRegistry(), list[str]()
    names = WindowsNames(registry, lambda: told.append("told"), lambda: Relay(("127.0.0.1", 0)))
    with (
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as agent,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as pc,
    ):
        agent.bind(("127.0.0.1", 0))
        for end in (agent, pc):
            end.settimeout(60)
        entry = HostName("plc.press.gatelink", str(PLC))
        names.apply("Gatelink", [entry], agent.getsockname()[1])
        names.apply("Gatelink 2", [entry], agent.getsockname()[1])
        (rule,) = registry.keys.values()
        assert rule["GenericDNSServers"] == "127.0.0.1"
        assert names._relay is not None
        pc.sendto(b"\1\2question", names._relay.address)
        question, asker = agent.recvfrom(100)
        assert question == b"\1\2question"
        agent.sendto(b"\1\2answer", asker)
        assert pc.recv(100) == b"\1\2answer"
        names.remove("Gatelink")
        assert registry.keys
        names.remove("Gatelink 2")
    assert not registry.keys
    assert told == ["told", "told"]
    registry.write(f"{nrpt.POLICY}\\{nrpt.RULE}", nrpt.rule_of("127.71.76.1"))
    assert names.clean_up() == ["the rule for .gatelink"]

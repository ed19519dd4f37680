"""Which address leads to a device, and under which name: every way in which a PC's own network can be in between."""

from __future__ import annotations

import time
from ipaddress import IPv4Address, IPv4Network

import pytest

from gatelink.messages import DeviceAccess
from lm_client.core.addressing import Choice, Pc, choose
from lm_client.core.hostnames import hostname, hostnames
from lm_client.core.local import ApplianceView, DeviceView
from lm_client.service.rules import KernelRoute

REAL, VIRTUAL = "192.168.50.10", "100.96.0.1"
PLC = DeviceAccess("d1", "plc", REAL, (), VIRTUAL)
HMI = DeviceAccess("d2", "hmi", "192.168.50.11", (), "100.96.0.2")
OFFICE = [
    KernelRoute(IPv4Network("0.0.0.0/0"), "unicast", "eth0", (IPv4Address("10.10.1.1"),)),
    KernelRoute(IPv4Network("10.10.1.0/24"), "unicast", "eth0", ()),
    KernelRoute(IPv4Network("10.10.1.2/32"), "local", "eth0", ()),
    KernelRoute(IPv4Network("127.0.0.0/8"), "local", "lo", ()),
    KernelRoute(IPv4Network("10.10.1.255/32"), "broadcast", "eth0", ()),
]


def _route(destination: str, kind: str = "unicast", *gateways: str) -> KernelRoute:
    return KernelRoute(IPv4Network(destination), kind, "eth9", tuple(map(IPv4Address, gateways)))


def test_own_addresses_are_used_when_they_are_free() -> None:
    assert choose([PLC, HMI], Pc(OFFICE)) == {"d1": Choice(REAL, ""), "d2": Choice(HMI.address, "")}


@pytest.mark.parametrize(
    ("extra", "why"),
    [
        (_route("192.168.50.0/24"), "in a network of this PC (192.168.50.0/24 on eth9)"),
        (_route("192.168.0.0/16", "unicast", "10.10.1.9"), "in a network of this PC (192.168.0.0/16 on eth9)"),
        (_route("192.168.50.0/24", "blackhole"), "in a network of this PC (192.168.50.0/24 on eth9)"),
        (_route(f"{REAL}/32"), "led elsewhere already (eth9)"),
        (_route(f"{REAL}/32", "local"), "this PC's own address"),
        (_route("172.16.0.0/12", "unicast", REAL), "a gateway of this PC"),
    ],
    ids=["attached", "vpn", "blackhole", "host", "own", "gateway"],
)
def test_virtual_address_is_used_when_the_pc_leads_the_own_one_elsewhere(extra: KernelRoute, why: str) -> None:
    assert choose([PLC], Pc([*OFFICE, extra]))["d1"] == Choice(VIRTUAL, f"{REAL}: {why}")


def test_own_address_is_used_when_a_vpn_only_splits_the_default_route() -> None:
    halves = [_route("0.0.0.0/1", "unicast", "10.8.0.1"), _route("128.0.0.0/1", "unicast", "10.8.0.1")]
    assert choose([PLC], Pc([*OFFICE, *halves]))["d1"].address == REAL


def test_own_address_is_used_when_the_user_insists_on_it_over_his_network() -> None:
    pc = Pc([*OFFICE, _route("192.168.50.0/24")])
    assert choose([PLC], pc, insist=True)["d1"] == Choice(REAL, "")
    own = Pc([*OFFICE, _route(f"{REAL}/32", "local")])
    assert choose([PLC], own, insist=True)["d1"].address == VIRTUAL


def test_choice_stays_when_the_pc_moves_into_the_plants_network() -> None:
    moved = Pc([*OFFICE, _route("192.168.50.0/24")])
    assert choose([PLC], moved, {"d1": REAL})["d1"] == Choice(REAL, "")
    assert choose([PLC], moved, {})["d1"].address == VIRTUAL


def test_own_adapter_is_no_obstacle_when_routes_are_chosen_again() -> None:
    own = KernelRoute(IPv4Network(f"{REAL}/32"), "unicast", "gl0", (IPv4Address("198.18.0.1"),))
    assert choose([PLC], Pc([*OFFICE, own], own_interface="gl0"))["d1"].address == REAL
    assert choose([PLC], Pc([*OFFICE, own]))["d1"].address == VIRTUAL


def test_way_to_the_gm_and_other_sessions_are_never_taken() -> None:
    assert choose([PLC], Pc(OFFICE, {REAL}))["d1"] == Choice(VIRTUAL, f"{REAL}: on the way to the GateManager")
    taken = Pc(OFFICE, (), {REAL: "saw", VIRTUAL: "drill"})
    assert choose([PLC], taken)["d1"] == Choice("", f"{REAL}: in use for saw; {VIRTUAL}: in use for drill")


def test_second_of_two_devices_gets_its_virtual_address_when_both_have_one_address() -> None:
    twin = DeviceAccess("d3", "twin", REAL, (), "100.96.0.3")
    found = choose([PLC, twin], Pc(OFFICE))
    assert found["d3"] == Choice("100.96.0.3", f"{REAL}: another device of this session has it")


def test_serial_port_has_its_virtual_address_alone() -> None:
    port = DeviceAccess("d4", "drive", "", (), "100.96.0.4", "tty-1")
    assert choose([port], Pc(OFFICE))["d4"] == Choice("100.96.0.4", "")
    assert choose([DeviceAccess("d4", "drive", "", ())], Pc(OFFICE))["d4"] == Choice("", "it has no address")


def test_old_gm_without_virtual_addresses_still_works_when_the_pcs_network_is_the_plants() -> None:
    plc = DeviceAccess("d1", "plc", REAL, ())
    assert choose([plc], Pc([*OFFICE, _route("192.168.50.0/24")]))["d1"] == Choice(REAL, "")


def test_fifty_thousand_devices_are_foreseen_without_a_wait() -> None:
    devices = [
        DeviceAccess(f"d{n}", "plc", str(IPv4Address("10.0.0.0") + n), (), str(IPv4Address("100.96.0.0") + n))
        for n in range(50_000)
    ]
    begin = time.perf_counter()
    assert len(choose(devices, Pc(OFFICE))) == len(devices)
    assert time.perf_counter() - begin < 10  # 0.3 s here; only a quadratic search would take so long


def _appliance(name: str, *devices: tuple[str, str], domain: str = "acme/Line 3") -> ApplianceView:
    views = tuple(DeviceView(device_id, device, "192.0.2.1", ()) for device_id, device in devices)
    return ApplianceView(name, domain, name, True, views)


def test_names_read_from_the_device_outwards() -> None:
    assert hostname("acme/Line 3", "press", "PLC_1") == "plc-1.press.line-3.acme.gatelink"
    assert hostname("", "Säge", "Straße") == "strasse.saege.gatelink"
    assert hostname("a", "--", "日本") == "x.x.a.gatelink"


def test_names_stay_different_when_they_are_spelt_alike() -> None:
    tree = [
        _appliance("press", ("d2", "PLC 1"), ("d1", "plc-1"), ("d3", "plc_1-2")),
        _appliance("Press", ("d4", "plc 1")),
    ]
    assert hostnames(tree) == {
        "d1": "plc-1.press.line-3.acme.gatelink",
        "d2": "plc-1-2.press.line-3.acme.gatelink",
        "d3": "plc-1-2-2.press.line-3.acme.gatelink",
        "d4": "plc-1-3.press.line-3.acme.gatelink",
    }
    assert hostnames(reversed(tree)) == hostnames(tree)


def test_names_fit_the_domain_name_system_however_long_the_tree_is() -> None:
    name = hostname("/".join(["x" * 100] * 9), "y" * 200, "z" * 200)
    assert len(name) <= 253
    assert max(map(len, name.split("."))) == 63
    assert name.startswith("z" * 63 + "." + "y" * 63)

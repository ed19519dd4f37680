"""The SM's nftables text: golden files, and what it must never hold."""

from __future__ import annotations

import ipaddress
import os
from pathlib import Path

import pytest

from gatelink.messages import DeviceAccess, Devices, OpenSession, Push, Service, TunnelAddresses
from sitemanager.core.desired import MARK, DesiredState, SessionNetwork, connection_mark, session_network
from sitemanager.core.rules import granted_ranges, no_ruleset, ruleset

GOLDEN = Path(__file__).parent / "sm_rules"
MODBUS = Service("modbus", "tcp", 502, 502)
PING = Service("ping", "icmp")


def plc(*services: Service, address: str = "192.168.50.10", name: str = "plc") -> DeviceAccess:
    return DeviceAccess(f"d-{address}", name, address, services)


def session(number: int, *devices: DeviceAccess) -> SessionNetwork:
    pc, gateway = f"100.64.{number}.2", f"100.64.{number}.1"
    return SessionNetwork(f"gls{number}", pc, gateway, 30, devices, MARK + number)


CASES = {
    "none": (DesiredState((), ("eth1",)), ()),
    "one": (DesiredState((session(0, plc(MODBUS, PING)),), ("eth1",)), ("eth1",)),
    "host_forwards_already": (DesiredState((session(0, plc(MODBUS)),), ("eth1",)), ()),
    "nothing_granted": (DesiredState((session(0),), ("eth1",)), ("eth1",)),
    "serial_and_virtual": (
        DesiredState(
            (
                session(
                    0,
                    DeviceAccess("d", "plc", "192.168.50.10", (MODBUS,), virtual_address="100.96.0.1"),
                    DeviceAccess("s", "drive", "", (MODBUS,), virtual_address="100.96.0.2", serial_port="usb-1"),
                ),
            ),
            ("eth1",),
        ),
        ("eth1",),
    ),
    "pushes": (
        DesiredState(
            (
                session(
                    0,
                    DeviceAccess(
                        "d", "logger", "192.168.50.12", (), pushes=(Push("r1", 1883, 61000), Push("r2", 514, 61001))
                    ),
                    plc(MODBUS),
                ),
                session(1, plc(MODBUS)),
            ),
            ("eth1",),
        ),
        ("eth1",),
    ),
    "no_machine_side": (DesiredState((session(0, plc(MODBUS)),), ()), ()),
    "two_sessions_ranges_two_sides": (
        DesiredState(
            (
                session(0, plc(Service("all", "tcp", 1, 65535), Service("snmp", "udp", 161, 162), MODBUS)),
                session(3, plc(PING), plc(MODBUS, PING, address="192.168.60.9")),
            ),
            ("eth2", "eth1"),
        ),
        ("eth1", "eth2"),
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_text_is_the_golden_one_when_sessions_are_these(name: str) -> None:
    text = ruleset(*CASES[name])
    path = GOLDEN / f"{name}.nft"
    if os.environ.get("GATELINK_WRITE_GOLDEN") == "1":
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    assert text == path.read_text()


def test_table_is_replaced_in_one_transaction_when_it_is_loaded() -> None:
    rows = ruleset(*CASES["one"]).splitlines()
    assert rows[:3] == [
        "table inet gatelink_sm",
        "delete table inet gatelink_sm",
        "table inet gatelink_sm {",
    ]
    assert no_ruleset().splitlines() == rows[:2]


def test_names_are_not_in_the_text_when_a_gatemanager_chose_them() -> None:
    evil = '"; } flush ruleset; #\n'
    device = DeviceAccess(evil, evil, "192.168.50.10", (Service(evil, "tcp", 502, 502),))
    assert "flush" not in ruleset(DesiredState((session(0, device),), ("eth1",)), ())


def test_text_is_refused_when_an_address_is_none() -> None:
    bad = plc(MODBUS, address="192.168.50.10, 0.0.0.0/0")
    with pytest.raises(ipaddress.AddressValueError):
        ruleset(DesiredState((session(0, bad),), ("eth1",)), ())


def ranges(*services: Service) -> list[tuple[str, int, int]]:
    devices: Devices = (plc(*services),)
    return [(protocol, first, last) for _, protocol, first, last in granted_ranges(devices)]


def test_ranges_are_one_when_they_overlap_or_touch() -> None:
    pieces = [Service("a", "tcp", 10, 20), Service("b", "tcp", 15, 30), Service("c", "tcp", 31, 31)]
    assert ranges(*pieces, Service("d", "tcp", 33, 33)) == [("tcp", 10, 31), ("tcp", 33, 33)]


def test_ranges_are_apart_when_protocol_or_device_differ() -> None:
    assert ranges(MODBUS, Service("x", "udp", 502, 502), PING) == [("tcp", 502, 502), ("udp", 502, 502)]
    both = granted_ranges((plc(MODBUS), plc(MODBUS, address="192.168.50.9")))
    assert [str(entry[0]) for entry in both] == ["192.168.50.9", "192.168.50.10"]


def test_mark_is_the_users_own_when_addresses_are_used_again() -> None:
    assert connection_mark(b"anna", "100.64.0.2") == connection_mark(b"anna", "100.64.0.2")
    others = {connection_mark(b"bert", "100.64.0.2"), connection_mark(b"anna", "100.64.0.6")}
    assert connection_mark(b"anna", "100.64.0.2") not in others
    assert connection_mark(b"anna", "100.64.0.2") >> 24 == MARK >> 24


def test_session_has_its_announcement_when_it_is_made() -> None:
    message = OpenSession(
        session_id="s",
        ticket=bytes(32),
        peer_certificate=b"anna",
        user="anna",
        reason="",
        tunnel=TunnelAddresses(pc="100.64.0.2", gateway="100.64.0.1"),
        devices=(plc(MODBUS),),
    )
    made = session_network(message, "gls5")
    assert made == SessionNetwork(
        "gls5", "100.64.0.2", "100.64.0.1", 30, (plc(MODBUS),), connection_mark(b"anna", "100.64.0.2"), "anna"
    )
    assert str(made.segment) == "100.64.0.0/30"

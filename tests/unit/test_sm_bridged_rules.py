"""The text of the bridged sessions' rules: what a GateManager can get into it, and who is bridged at all."""

from __future__ import annotations

import ipaddress

import pytest

from gatelink.messages import DeviceAccess, Service
from sitemanager.core.bridged_rules import TABLE, bridged_ruleset, is_bridgeable
from sitemanager.core.desired import SessionNetwork

MODBUS = Service("modbus", "tcp", 502, 502)
MAC = "00:1b:1b:00:00:01"


def bridged(*devices: DeviceAccess) -> SessionNetwork:
    return SessionNetwork("gls0", "100.64.0.2", "100.64.0.1", 30, devices, 1, mode="bridged")


@pytest.mark.parametrize(
    ("mac", "expected"),
    [
        (MAC, True),
        ("", False),
        ("01:0e:cf:00:00:00", False),
        ("ff:ff:ff:ff:ff:ff", False),
        ("00:1B:1B:00:00:01", False),
        (f"{MAC} }}; flush ruleset", False),
    ],
)
def test_device_is_bridged_when_it_has_an_address_of_its_own(mac: str, *, expected: bool) -> None:
    assert is_bridgeable(DeviceAccess("d", "plc", "192.168.50.10", (MODBUS,), mac=mac)) == expected


def test_device_without_a_mac_is_not_in_the_text() -> None:
    devices = (
        DeviceAccess("d1", "plc", "192.168.50.10", (MODBUS,), mac=MAC),
        DeviceAccess("d2", "hmi", "192.168.50.11", (MODBUS,)),
    )
    text = bridged_ruleset([bridged(*devices)], "eth1", [ipaddress.IPv4Address("192.168.50.1")])
    assert "192.168.50.10" in text
    assert "192.168.50.11" not in text
    assert "policy drop" in text


def test_dhcp_is_never_asked_by_broadcast_whatever_is_granted() -> None:
    services = (Service("dhcp", "udp", 67, 67), Service("bacnet", "udp", 47808, 47808))
    text = bridged_ruleset([bridged(DeviceAccess("d", "x", "192.168.50.10", services, mac=MAC))], "eth1", [])
    asked = text[text.index("set asked_gls0") :].split("}")[0]
    assert "47808" in asked
    assert "67" not in asked.replace("47808", "")


def test_nothing_is_left_when_no_session_is() -> None:
    assert bridged_ruleset([], "", []).splitlines() == [f"table {TABLE}", f"delete table {TABLE}"]

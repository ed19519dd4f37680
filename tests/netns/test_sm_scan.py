"""A scan of the plant, against devices that others wrote."""

from __future__ import annotations

from typing import Any

import pytest

from lab import Lab
from lab.products import APPLIANCE, System
from lab.simulators import STATION_MAC
from netns.link_ground import quick_system

pytestmark = [pytest.mark.netns, pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def system(module_lab: Lab) -> System:
    host_b = module_lab.add_host()
    started = [
        module_lab.plant.start_module("lab.simulators", "s7", "192.168.50.10", name="s7"),
        module_lab.plant.start_module("lab.simulators", "profinet", "br0", name="profinet"),
        host_b.start_module("lab.simulators", "opcua", "192.168.50.11", name="opcua"),
        host_b.start_module("lab.simulators", "ethernet-ip", "192.168.50.11", name="ethernet-ip"),
        host_b.start_module("lab.simulators", "bacnet", "192.168.50.11", name="bacnet"),
        host_b.start_module("lab.simulators", "modbus", "192.168.50.11", name="modbus"),
    ]
    for process in started:
        process.wait_for_line("is ready", 60)
    return quick_system(module_lab)


@pytest.fixture(scope="module")
def found(system: System) -> dict[str, dict[str, Any]]:
    """What the SiteManager finds, by address."""
    return {device["address"] or device["mac"]: device for device in system.sm.ask("scan")["found"]}


def test_every_device_is_found_and_the_sm_itself_is_not(found: dict[str, dict[str, Any]]) -> None:
    assert set(found) == {"192.168.50.10", "192.168.50.11", "192.168.50.77"}
    for address in ("192.168.50.10", "192.168.50.11"):
        assert found[address]["mac"].count(":") == 5
        assert "arp" in found[address]["protocols"]


def test_siemens_cpu_says_what_it_is(found: dict[str, dict[str, Any]]) -> None:
    cpu = found["192.168.50.10"]
    assert {"s7", "modbus"} <= set(cpu["protocols"])
    assert cpu["vendor"] == "Siemens"
    assert "6ES7" in cpu["model"]
    assert cpu["preset"] == "s7"


def test_devices_of_other_makers_say_who_they_are(found: dict[str, dict[str, Any]]) -> None:
    other = found["192.168.50.11"]
    assert {"opc-ua", "ethernet-ip", "bacnet", "modbus"} <= set(other["protocols"])
    assert other["preset"] == "ethernet-ip"
    assert other["name"] == "Packing line UA"


def test_profinet_station_is_found_by_dcp_when_its_address_is_none_of_the_plant(
    system: System, found: dict[str, dict[str, Any]]
) -> None:
    station = found["192.168.50.77"]
    assert station["mac"] == STATION_MAC
    assert (station["name"], station["vendor"]) == ("press-io", "Siemens")
    assert {"profinet-dcp", "lldp"} <= set(station["protocols"])
    (asked,) = {line for process in system.lab.plant.processes for line in process.lines if line.startswith("asked by")}
    assert asked


def test_administrator_scans_from_the_gatemanager(system: System) -> None:
    rows = system.gm.ask("appliances", "scan", APPLIANCE)
    assert {row["address"] for row in rows} == {"192.168.50.10", "192.168.50.11", "192.168.50.77"}

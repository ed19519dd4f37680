"""The library of presets: every port has a source, every family only services that there are."""

from __future__ import annotations

import tomllib
from importlib.resources import files

import pytest

from gm_server.appliances.presets import library, preset, presets, source_of
from gm_server.names import check_name

DATA = tomllib.loads(files("gm_server.appliances").joinpath("presets.toml").read_text(encoding="utf-8"))
ASKED_FOR = {
    "Siemens": "s7",
    "Rockwell Automation": "ethernet-ip",
    "Schneider Electric": "modbus",
    "Omron": "fins",
    "Mitsubishi Electric": "melsec",
    "Beckhoff": "beckhoff-ads",
    "CODESYS": "codesys",
    "B&R": "ansl",
    "Emerson (GE)": "ge-srtp",
}


@pytest.mark.parametrize("name", DATA["services"])
def test_service_has_ports_and_a_source(name: str) -> None:
    found = preset(name)
    assert check_name(name, "a service") == name
    assert found
    assert {ports.name for ports in found} == {name}
    for ports in found:
        lowest = {"tcp": 1, "udp": 1, "icmp": 0, "ethernet": 0x0600}[ports.protocol]
        assert lowest <= ports.first_port <= ports.last_port <= 65535
    assert source_of(name)


@pytest.mark.parametrize("name", DATA["presets"])
def test_family_has_services_of_the_library(name: str) -> None:
    family = library()[name]
    assert check_name(name, "a preset") == name
    assert family.title
    assert len(set(family.services)) == len(family.services) >= 1
    assert set(family.services) <= set(DATA["services"])
    assert {ports.name for ports in preset(name)} == set(family.services)


def test_no_name_means_two_things() -> None:
    assert set(DATA["services"]) & set(DATA["presets"]) == set()
    assert len(presets()) == len(DATA["services"]) + len(DATA["presets"])


@pytest.mark.parametrize(("vendor", "service"), ASKED_FOR.items())
def test_vendor_is_there(vendor: str, service: str) -> None:
    assert any(service in one.services for one in library().values() if one.vendor == vendor)


def test_what_belongs_to_no_vendor_is_there_too() -> None:
    for service in ("opcua", "bacnet", "profinet-dcp", "vnc", "rdp", "http", "https", "ssh", "rfc2217", "serial-raw"):
        assert any(service in one.services for one in library().values()), service
    assert any(one.serial for one in library().values())

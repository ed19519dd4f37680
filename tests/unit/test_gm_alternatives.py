"""Devices whose virtual addresses are in use at the PC have others in that session; the same ones each time."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network

from hypothesis import given
from hypothesis import strategies as st

from gatelink.messages import DeviceAccess
from gm_server.access.alternatives import avoiding


def _devices(*virtual: str) -> tuple[DeviceAccess, ...]:
    return tuple(DeviceAccess(f"d{n}", f"plc {n}", f"192.168.50.{n}", (), each) for n, each in enumerate(virtual, 10))


def _virtual(devices: tuple[DeviceAccess, ...], *avoid: str) -> list[str]:
    return [device.virtual_address for device in avoiding(devices, avoid)]


def test_only_what_is_in_use_has_another_address() -> None:
    devices = _devices("100.96.0.1", "100.96.0.2", "")
    assert avoiding(devices, ()) is devices
    assert avoiding(devices, ("198.18.0.2",)) is devices
    assert _virtual(devices, "100.96.0.2") == ["100.96.0.1", "100.104.0.2", ""]
    assert _virtual(devices, "100.96.0.2", "100.104.0.2", "100.96.0.1") == ["100.104.0.1", "100.112.0.2", ""]


def test_own_address_stays_when_there_is_no_other_left() -> None:
    eighths = [f"100.{64 + 8 * n}.0.1" for n in range(8)]
    assert _virtual(_devices("100.96.0.1"), *eighths) == ["100.96.0.1"]


def test_other_address_is_nobody_elses_when_the_network_is_large() -> None:
    devices = _devices("100.96.0.1", "100.104.0.1")  # virtual_network 100.64.0.0/10 with half a million devices
    assert _virtual(devices, "100.96.0.1") == ["100.112.0.1", "100.104.0.1"]


@given(st.sets(st.ip_addresses(v=4).map(str), min_size=1, max_size=12), st.data())
def test_addresses_are_different_hosts_whatever_the_network_and_what_is_in_use(
    virtual: set[str], data: st.DataObject
) -> None:
    devices = _devices(*sorted(virtual))
    avoid = data.draw(st.sets(st.sampled_from(sorted(virtual))))
    found = avoiding(devices, avoid)
    addresses = [device.virtual_address for device in found]
    assert len({*addresses}) == len(addresses)
    assert avoiding(devices, avoid) == found
    for device, before in zip(found, devices, strict=True):
        if before.virtual_address not in avoid:
            assert device == before
        else:
            assert IPv4Address(device.virtual_address) in IPv4Network("100.64.0.0/10")
            assert device.virtual_address not in avoid

"""Addresses of a session that this PC has in use already: another tunnel, or a virtual address, takes their place."""

from __future__ import annotations

import asyncio
from ipaddress import IPv4Network
from pathlib import Path

import msgspec
import pytest

from gatelink.exceptions import InputError, Refused
from gatelink.messages import (
    ApplianceView,
    Connect,
    DeviceAccess,
    SessionEnded,
    TunnelAddresses,
)
from inproc.lm_office import HMI, PLC, Office, OfficeGm, office_and_gm
from lm_client.core.local import (
    Appliances,
    ConnectedTo,
    ConnectTo,
    Disconnected,
    DisconnectFrom,
    GetAppliances,
)
from lm_client.service.rules import KernelRoute


async def _connect(office: Office, target: str = "press") -> ConnectedTo:
    return await office.ask(ConnectTo(target=target), ConnectedTo)


def _other_session() -> list[KernelRoute]:
    """Of another GateManager, through another agent of this PC: it was given the same two addresses."""
    ends = (("198.18.0.2/32", "local"), ("198.18.0.1/32", "unicast"))
    return [KernelRoute(IPv4Network(destination), kind, "gl7", ()) for destination, kind in ends]


def test_another_tunnel_is_asked_for_when_another_gm_gave_the_same(tmp_path: Path) -> None:
    async def run() -> None:
        async with office_and_gm(tmp_path) as (office, gm), office.logged_in():
            office.network.surroundings += _other_session()
            await _connect(office)
            assert [str(adapter.pc) for adapter in office.network.adapters.values()] == ["198.18.0.6"]
            first, second = (word for word in gm.said if isinstance(word, Connect))
            assert (first.avoid, first.resume_session_id) == ((), None)
            assert (second.avoid, second.resume_session_id) == (("198.18.0.2",), "s1")

    asyncio.run(run())


def test_other_virtual_addresses_are_asked_for_when_another_gm_gave_the_same(tmp_path: Path) -> None:
    plc = msgspec.structs.replace(PLC, virtual_address="100.96.0.1")
    hmi = msgspec.structs.replace(HMI, virtual_address="100.96.0.2")

    async def run() -> None:
        async with office_and_gm(tmp_path) as (office, gm), office.logged_in():
            office.network.surroundings += [
                KernelRoute(IPv4Network("192.168.50.0/24"), "unicast", "eth0", ()),
                KernelRoute(IPv4Network("100.96.0.1/32"), "unicast", "gl7", ()),
            ]
            gm.devices = (plc, hmi)
            await _connect(office)
            assert office.routes == {"gl0": {"100.104.0.1", "100.96.0.2"}}
            (await gm.far_end()).cut()
            await gm.far_end(2)
            first, second, third = (word for word in gm.said if isinstance(word, Connect))
            assert (first.avoid, first.resume_session_id) == ((), None)
            assert (second.avoid, second.resume_session_id) == (("100.96.0.1",), "s1")
            assert (third.avoid, third.resume_session_id) == (("100.96.0.1",), "s2")
            await office.until(lambda: "up on" in office.log.partition("resuming")[2], "the resumption")
            assert office.routes == {"gl0": {"100.104.0.1", "100.96.0.2"}}

    asyncio.run(run())


def test_session_goes_on_without_a_device_when_the_gm_has_no_other_virtual_address(tmp_path: Path) -> None:
    port = DeviceAccess("d3", "drive", "", PLC.services, "100.96.0.3", "com1")

    async def run() -> None:
        async with office_and_gm(tmp_path) as (office, gm), office.logged_in():
            office.network.surroundings.append(KernelRoute(IPv4Network("100.96.0.3/32"), "unicast", "gl7", ()))
            gm.devices, gm.heeds_avoid = (PLC, port), False
            answer = await _connect(office)
            assert office.routes == {"gl0": {"192.168.50.10"}}
            assert [device.why for device in answer.session.devices] == ["", "led elsewhere already (gl7)"]

    asyncio.run(run())


def test_nothing_is_left_when_the_gm_has_no_other_tunnel(tmp_path: Path) -> None:
    async def run() -> None:
        async with office_and_gm(tmp_path) as (office, gm), office.logged_in():
            office.network.surroundings += _other_session()
            gm.heeds_avoid = False
            with pytest.raises(
                Refused, match=r"no other tunnel, and 198\.18\.0\.2 is in use on this PC already \(gl7\): "
            ):
                await _connect(office)
            assert office.network.opened == 0
            assert (await gm.heard(SessionEnded)).session_id == "s2"

    asyncio.run(run())


def _twin(gm: OfficeGm, virtual_address: str) -> ApplianceView:
    """Another machine of the same make: the same address behind it."""
    plc = DeviceAccess("d9", "plc", PLC.address, PLC.services, virtual_address)
    return msgspec.structs.replace(gm.appliances[0], appliance_id="a2", name="saw", devices=(plc,))


def test_twin_is_reached_at_its_virtual_address_when_both_are_connected(tmp_path: Path) -> None:
    async def run() -> None:
        async with office_and_gm(tmp_path) as (office, gm), office.logged_in():
            gm.appliances = (*gm.appliances, _twin(gm, "100.96.0.9"))
            before = (await office.ask(GetAppliances(), Appliances)).appliances
            assert [each.devices[0].use for each in before] == [PLC.address, PLC.address]
            await _connect(office)
            listed = (await office.ask(GetAppliances(), Appliances)).appliances
            assert [each.devices[0].use for each in listed] == [PLC.address, "100.96.0.9"]
            gm.addresses = TunnelAddresses("198.18.0.6", "198.18.0.5")
            answer = await _connect(office, "saw")
            assert office.routes == {"gl0": {PLC.address, HMI.address}, "gl1": {"100.96.0.9"}}
            (device,) = answer.session.devices
            assert (device.use, device.why) == ("100.96.0.9", f"{PLC.address}: in use for press")
            assert device.hostname == "plc.saw.hall-3.acme.gatelink"
            assert office.names.known["gl0"]["plc.press.hall-3.acme.gatelink"] == PLC.address
            assert office.names.known["gl1"] == {"plc.saw.hall-3.acme.gatelink": "100.96.0.9"}
            # The other one ends, and comes back: the twin keeps what its applications use.
            await office.ask(DisconnectFrom(target="press"), Disconnected)
            assert set(office.names.known) == {"gl1"}
            (await gm.far_end(2)).cut()
            await office.until(lambda: "session saw: up on gl1" in office.log.split("interrupted")[-1], "resumption")
            assert office.routes == {"gl1": {"100.96.0.9"}}

    asyncio.run(run())


def test_connect_says_what_is_in_the_way_when_there_is_no_virtual_address(tmp_path: Path) -> None:
    async def run() -> None:
        async with office_and_gm(tmp_path) as (office, gm), office.logged_in():
            gm.appliances = (*gm.appliances, _twin(gm, ""))
            await office.ask(GetAppliances(), Appliances)
            await _connect(office)
            expected = r"no address leads from this PC to saw: plc: 192\.168\.50\.10: in use for press, and it has no"
            with pytest.raises(InputError, match=expected):
                await _connect(office, "saw")
            assert list(office.routes) == ["gl0"]

    asyncio.run(run())

"""A bridged session: the PC is on the machine's Ethernet, with what is granted there and nothing else."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest

from gatelink.messages import DeviceAccess, Service
from lab import Lab, Place, Process, knock, ping
from lab.simulators import STATION_MAC
from netns.segment import FRAMES, IDENTIFY, LIST_IDENTITY, NEIGHBOUR, PC_ADDRESS, mac_of, populate, run
from netns.sm_ground import ECHO, MODBUS, PLC_ADDRESS, Ground, ground, session

pytestmark = [pytest.mark.netns, pytest.mark.timeout(240)]
ENIP = (Service("ethernet-ip", "udp", 44818, 44818), Service("ethernet-ip", "tcp", 44818, 44818))
PROFINET = Service("profinet", "ethernet", 0x8892, 0x8892)


def granted(address: str, mac: str, *services: Service) -> DeviceAccess:
    return DeviceAccess(f"d-{address}", address, address, services, mac=mac)


@pytest.fixture(scope="module")
def ear(module_lab: Lab) -> Process:
    """Who hears what leaves the SM's port; a controller and a station are there, too."""
    return populate(module_lab)


@pytest.fixture(scope="module")
def plc(module_lab: Lab) -> Process:
    """A PLC that says who asks it."""
    found = module_lab.plant.start_module("lab.echo", "--tcp", "502", "--tcp", "80", "--udp", "67")
    found.wait_for_line("echo listens", 60)
    return found


@pytest.fixture(scope="module")
def site(module_lab: Lab, ear: Process, plc: Process, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ground]:
    with ground(module_lab, tmp_path_factory.mktemp("ground")) as found:
        yield found


@pytest.fixture(scope="module")
def pc(module_lab: Lab, site: Ground) -> Place:
    """A PC in a bridged session, with an address of the plant's network."""
    plc = granted(PLC_ADDRESS, mac_of(module_lab.plant, "br0"), MODBUS, ECHO)
    logix = granted(NEIGHBOUR, mac_of(module_lab["plant-b"], "eth0"), *ENIP)
    station = granted("192.168.50.77", STATION_MAC, PROFINET)
    bridged = msgspec.structs.replace(session(1, plc, logix, station), mode="bridged")
    site.apply(bridged)
    site.pc(module_lab.pc, 1)
    module_lab.pc.run(["ip", "address", "add", f"{PC_ADDRESS}/24", "dev", "gl1"])
    module_lab.pc.run(["ip", "route", "del", "192.168.50.0/24", "via", "100.64.1.1", "dev", "gl1"], check=False)
    return module_lab.pc


def test_plc_answers_at_its_own_address_and_sees_the_pc_itself(pc: Place, plc: Process) -> None:
    assert knock(pc, PLC_ADDRESS, 502) == "open"
    assert ping(pc, PLC_ADDRESS).received == 1
    assert f"tcp 502 from {PC_ADDRESS}" in plc.lines
    neighbours = pc.run(["ip", "neigh", "show", PLC_ADDRESS, "dev", "gl1"]).stdout
    assert "REACHABLE" in neighbours or "DELAY" in neighbours or "STALE" in neighbours


def test_profinet_station_answers_identify(pc: Place) -> None:
    assert run(pc, IDENTIFY, "gl1", "10") == f"press-io {STATION_MAC}"


def test_ethernet_ip_controller_answers_list_identity_by_broadcast(pc: Place) -> None:
    assert run(pc, LIST_IDENTITY, "gl1", "192.168.50.255") == f"{NEIGHBOUR} Rockwell Automation"
    assert knock(pc, NEIGHBOUR, 44818) == "open"


@pytest.mark.parametrize(
    ("address", "port"),
    [
        pytest.param(PLC_ADDRESS, 80, id="another port of the PLC"),
        pytest.param(NEIGHBOUR, 502, id="another port of a neighbour"),
        pytest.param("192.168.50.1", 502, id="the SM"),
        pytest.param("192.168.50.99", 502, id="nobody"),
    ],
)
def test_nothing_else_is_reached(pc: Place, address: str, port: int) -> None:
    assert knock(pc, address, port, timeout_s=0.5) != "open"
    if address != PLC_ADDRESS:
        assert ping(pc, address, timeout_s=0.3).received == 0


def test_nothing_that_disturbs_gets_into_the_plant(pc: Place, ear: Process) -> None:
    ping(pc, PLC_ADDRESS)
    seen = len(ear.lines)
    run(pc, FRAMES, "gl1", "odd")
    assert ping(pc, PLC_ADDRESS, size_bytes=77).received == 1
    news = [line for line in ear.lines[seen:] if "icmp" not in line]
    allowed = f"port-site arp {PC_ADDRESS} > {PLC_ADDRESS} "
    assert [line for line in news if not line.startswith(allowed)] == []


def test_storm_of_broadcasts_becomes_a_trickle(pc: Place, ear: Process) -> None:
    seen = len(ear.lines)
    run(pc, FRAMES, "gl1", "storm")
    assert ping(pc, PLC_ADDRESS, timeout_s=3).received <= 1
    came = [line for line in ear.lines[seen:] if line.startswith(f"port-site arp {PC_ADDRESS}")]
    assert len(came) < 100


def test_everything_is_as_it_was_when_the_session_has_ended(
    module_lab: Lab, pc: Place, site: Ground, ear: Process
) -> None:
    def flags() -> list[str]:
        (link,) = json.loads(module_lab.site.run(["ip", "-j", "link", "show", "dev", "eth1"]).stdout)
        found: Any = link["flags"]
        return list(found)

    assert "PROMISC" in flags()
    assert ping(module_lab.site, PLC_ADDRESS).received == 1, "the SM's own address works meanwhile"
    site.apply()
    assert "PROMISC" not in flags()
    assert "netdev" not in site.nft()
    assert knock(pc, PLC_ADDRESS, 502, timeout_s=0.5) != "open"

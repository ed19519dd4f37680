"""A bridged session: the PC is on the machine's Ethernet, with what is granted there and nothing else."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest

from gatelink.messages import DeviceAccess, Service
from lab import Lab, Place, Process, knock, ping
from lab.simulators import STATION_MAC
from netns.sm_ground import ECHO, MODBUS, PLC_ADDRESS, TESTS, Ground, ground, session

pytestmark = [pytest.mark.netns, pytest.mark.timeout(240)]
NEIGHBOUR, PC_ADDRESS = "192.168.50.11", "192.168.50.200"
ENIP = (Service("ethernet-ip", "udp", 44818, 44818), Service("ethernet-ip", "tcp", 44818, 44818))
PROFINET = Service("profinet", "ethernet", 0x8892, 0x8892)
_DCP = """
import socket, sys, time
from sitemanager.core.discovery import profinet_dcp
port = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(0x8892)); port.bind(("gl1", 0x8892))
port.settimeout(3); port.send(profinet_dcp.request(port.getsockname()[4], 7))
end = time.monotonic() + 3
while time.monotonic() < end:
    try: found = profinet_dcp.parse(port.recv(2048))
    except TimeoutError: break
    if found: print(found.name, found.mac); break
"""
_LIST_IDENTITY = """
import socket
from sitemanager.core.discovery import ethernet_ip
port = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); port.settimeout(3)
port.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
port.bind(("192.168.50.200", 0)); port.sendto(ethernet_ip.request(), ("192.168.50.255", 44818))
try:
    data, (address, _) = port.recvfrom(2048); print(address, ethernet_ip.parse(data, address).vendor)
except TimeoutError: print("silent")
"""
_STORM = """
import socket, struct, sys
port = socket.socket(socket.AF_PACKET, socket.SOCK_RAW); port.bind(("gl1", 0))
mac = port.getsockname()[4]
def frame(kind, payload, source=mac, target=b"\\xff" * 6): return (target + source + kind + payload).ljust(60, b"\\0")
def arp(ip, own, source=mac):
    return frame(b"\\x08\\x06", struct.pack("!HHBBH", 1, 0x800, 6, 4, 1) + source + socket.inet_aton(own)
                 + bytes(6) + socket.inet_aton(ip), source)
def udp(sport, dport, own="0.0.0.0", to="255.255.255.255"):
    body = struct.pack("!HHHH", sport, dport, 40, 0) + bytes(32)
    head = struct.pack("!BBHHHBBH4s4s", 69, 0, 60, 7, 0, 64, 17, 0, socket.inet_aton(own), socket.inet_aton(to))
    total = sum(struct.unpack("!10H", head)); total = (total & 0xFFFF) + (total >> 16)
    return frame(b"\\x08\\x00", head[:10] + struct.pack("!H", ~total & 0xFFFF) + head[12:] + body)
if sys.argv[1] == "storm":
    for _ in range(2000): port.send(arp("192.168.50.10", "192.168.50.200"))
else:
    port.send(udp(68, 67)); port.send(udp(67, 68, "192.168.50.200"))       # a DHCP client, a DHCP server
    port.send(arp("192.168.50.99", "192.168.50.200"))                       # somebody who is not granted
    port.send(arp("192.168.50.11", "192.168.50.1"))                         # in the SiteManager's name
    port.send(arp("192.168.50.10", "192.168.50.10"))                        # in the PLC's name
    port.send(arp("192.168.50.10", "192.168.50.200", b"\\2\\3\\4\\5\\6\\7"))  # with another MAC
    port.send(frame(b"\\x88\\xcc", b"\\2\\7\\4" + mac))                      # LLDP
    port.send(frame(b"\\x86\\xdd", bytes(40)))                              # IPv6
    port.send(frame(b"\\x08\\x00", bytes(46)))                              # nonsense
"""


def mac_of(place: Place, device: str) -> str:
    (link,) = json.loads(place.run(["ip", "-j", "link", "show", "dev", device]).stdout)
    return str(link["address"])


def granted(address: str, mac: str, *services: Service) -> DeviceAccess:
    return DeviceAccess(f"d-{address}", address, address, services, mac=mac)


@pytest.fixture(scope="module")
def plant(module_lab: Lab) -> list[Process]:
    """A PLC, an EtherNet/IP controller beside it, a PROFINET station, and somebody who hears what leaves the SM."""
    host = module_lab.add_host()
    started = [
        (module_lab.plant.start_module("lab.echo", "--tcp", "502", "--tcp", "80", "--udp", "67"), "echo listens"),
        (host.start_module("lab.simulators", "ethernet-ip", NEIGHBOUR), "is ready"),
        (module_lab.plant.start_module("lab.simulators", "profinet", "br0"), "is ready"),
        (module_lab.plant.start_module("netns.link_listener", "port-site", name="ear"), "listening"),
    ]
    for process, words in started:
        process.wait_for_line(words, 60)
    return [process for process, _ in started]


@pytest.fixture(scope="module")
def site(module_lab: Lab, plant: list[Process], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ground]:
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


def run(place: Place, script: str, *words: str) -> str:
    path = f"{TESTS}:{TESTS.parent / 'firmware'}:{TESTS.parent / 'gatelink'}"
    return place.run([sys.executable, "-c", script, *words], env={"PYTHONPATH": path}).stdout.strip()


def ear(plant: list[Process]) -> Process:
    return plant[3]


def test_plc_answers_at_its_own_address_and_sees_the_pc_itself(pc: Place, plant: list[Process]) -> None:
    assert knock(pc, PLC_ADDRESS, 502) == "open"
    assert ping(pc, PLC_ADDRESS).received == 1
    assert f"tcp 502 from {PC_ADDRESS}" in plant[0].lines
    neighbours = pc.run(["ip", "neigh", "show", PLC_ADDRESS, "dev", "gl1"]).stdout
    assert "REACHABLE" in neighbours or "DELAY" in neighbours or "STALE" in neighbours


def test_profinet_station_answers_identify(pc: Place) -> None:
    assert run(pc, _DCP) == f"press-io {STATION_MAC}"


def test_ethernet_ip_controller_answers_list_identity_by_broadcast(pc: Place) -> None:
    assert run(pc, _LIST_IDENTITY) == f"{NEIGHBOUR} Rockwell Automation"
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


def test_nothing_that_disturbs_gets_into_the_plant(pc: Place, plant: list[Process]) -> None:
    ping(pc, PLC_ADDRESS)
    seen = len(ear(plant).lines)
    run(pc, _STORM, "odd")
    assert ping(pc, PLC_ADDRESS, size_bytes=77).received == 1
    news = [line for line in ear(plant).lines[seen:] if "icmp" not in line]
    allowed = f"port-site arp {PC_ADDRESS} > {PLC_ADDRESS} "
    assert [line for line in news if not line.startswith(allowed)] == []


def test_storm_of_broadcasts_becomes_a_trickle(pc: Place, plant: list[Process]) -> None:
    seen = len(ear(plant).lines)
    run(pc, _STORM, "storm")
    assert ping(pc, PLC_ADDRESS, timeout_s=3).received <= 1
    came = [line for line in ear(plant).lines[seen:] if line.startswith(f"port-site arp {PC_ADDRESS}")]
    assert len(came) < 100


def test_everything_is_as_it_was_when_the_session_has_ended(
    module_lab: Lab, pc: Place, site: Ground, plant: list[Process]
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

"""What a PC reaches through a session, tried with real packets: exactly what is granted."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import pytest

from gatelink.messages import Service
from gatelink.tunnel_mac import tunnel_mac
from lab import Lab, Place, Process, knock, ping
from netns.sm_ground import ECHO, MODBUS, PLC_ADDRESS, SNMP, Ground, device, ground, session

pytestmark = pytest.mark.netns
REFUSED = {"prohibited", "silent"}
"""The kernel sends one host six ICMP errors at once, then one a second (icmp_ratelimit); TCP is always reset."""


class Heard:
    """What a program of the plant got since the last look."""

    def __init__(self, *programs: Process) -> None:
        self._programs = programs
        self._seen = [len(program.lines) for program in programs]

    def lines(self) -> list[str]:
        """What came; everything that was sent has arrived, for a granted packet behind it was answered."""
        return [line for program, seen in zip(self._programs, self._seen, strict=True) for line in program.lines[seen:]]


@pytest.fixture(scope="module")
def neighbour(module_lab: Lab) -> Place:
    """A host beside the PLC."""
    return module_lab.add_host()


@pytest.fixture(scope="module")
def bystanders(module_lab: Lab, neighbour: Place) -> list[Process]:
    """Services of the PLC's neighbour, of the SM itself, of the uplink's side and of the internet."""
    programs = []
    for place in (neighbour, module_lab.site, module_lab.factory, module_lab.internet):
        program = place.start_module("lab.echo", "--tcp", "502", "--tcp", "443", "--udp", "161", "--udp", "502")
        program.wait_for_line("echo listens")
        programs.append(program)
    return programs


@pytest.fixture
def everybody(plant: Process, bystanders: list[Process]) -> Heard:
    """What anybody hears from now on, the PLC too."""
    return Heard(plant, *bystanders)


@pytest.fixture(scope="module")
def plant(module_lab: Lab) -> Process:
    """A PLC that answers on many ports."""
    plc = module_lab.plant.start_module(
        "lab.echo", "--tcp", "502", "--tcp", "80", "--udp", "161", "--udp", "502", name="plc"
    )
    plc.wait_for_line("echo listens")
    return plc


@pytest.fixture(scope="module")
def site(module_lab: Lab, plant: Process, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ground]:
    with ground(module_lab, tmp_path_factory.mktemp("ground")) as found:
        found.apply(session(1, device(MODBUS, ECHO, SNMP)))
        found.pc(module_lab.pc, 1)
        yield found


@pytest.fixture
def pc(module_lab: Lab, site: Ground) -> Place:
    site.apply(session(1, device(MODBUS, ECHO, SNMP)))
    return module_lab.pc


def datagram(place: Place, address: str, port: int, timeout_s: float = 1.0, size_bytes: int = 1) -> str:
    """Send one and say what came of it."""
    script = (
        "import socket, sys\n"
        "s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.settimeout(float(sys.argv[3]))\n"
        "s.connect((sys.argv[1], int(sys.argv[2]))); s.send(bytes(int(sys.argv[4])))\n"
        "try:\n    s.recv(10); print('answered')\n"
        "except TimeoutError: print('silent')\n"
        "except ConnectionRefusedError: print('refused')\n"
        "except OSError: print('prohibited')\n"
    )
    return place.run(
        [sys.executable, "-I", "-S", "-c", script, address, str(port), str(timeout_s), str(size_bytes)]
    ).stdout.strip()


def test_granted_port_is_open_when_asked_from_the_pc(pc: Place) -> None:
    assert knock(pc, PLC_ADDRESS, 502) == "open"


def test_granted_udp_and_ping_are_answered(pc: Place) -> None:
    assert datagram(pc, PLC_ADDRESS, 161) == "answered"
    assert ping(pc, PLC_ADDRESS).received == 1


def test_device_without_gateway_sees_the_sm_when_the_pc_asks(pc: Place, plant: Process) -> None:
    heard = Heard(plant)
    assert knock(pc, PLC_ADDRESS, 502) == "open"
    plant.wait_for_line("tcp 502 from", after=heard._seen[0])
    assert heard.lines()[0] == "tcp 502 from 192.168.50.1"


def test_large_datagrams_pass_when_they_come_in_fragments(pc: Place) -> None:
    assert ping(pc, PLC_ADDRESS, size_bytes=4000).received == 1
    assert datagram(pc, PLC_ADDRESS, 161, size_bytes=4000) == "answered"


def test_fragments_are_refused_when_the_port_is_not_granted(pc: Place, everybody: Heard) -> None:
    assert datagram(pc, PLC_ADDRESS, 502, timeout_s=0.3, size_bytes=4000) in REFUSED
    assert datagram(pc, "192.168.50.11", 161, timeout_s=0.3, size_bytes=4000) in REFUSED
    assert everybody.lines() == []


def test_device_says_so_itself_when_nobody_listens_on_a_granted_port(pc: Place, site: Ground) -> None:
    """An ICMP error about a granted connection finds its way back."""
    site.apply(session(1, device(Service("nobody", "udp", 9999, 9999))))
    assert datagram(pc, PLC_ADDRESS, 9999) == "refused"


@pytest.mark.parametrize(
    ("address", "port"),
    [
        pytest.param(PLC_ADDRESS, 80, id="other port"),
        pytest.param("192.168.50.11", 502, id="other host"),
        pytest.param("192.168.50.1", 502, id="the SM, machine side"),
        pytest.param("10.20.1.2", 502, id="the SM, uplink"),
        pytest.param("100.64.1.1", 502, id="the SM, tunnel"),
        pytest.param("10.20.1.1", 502, id="the uplink's network"),
        pytest.param("203.0.113.10", 443, id="the internet"),
        pytest.param("100.64.2.2", 502, id="another session's PC"),
        pytest.param("100.64.2.1", 502, id="another session's gateway"),
    ],
)
def test_nothing_arrives_when_it_is_not_granted(pc: Place, everybody: Heard, address: str, port: int) -> None:
    assert knock(pc, address, port) in {"refused", "unreachable"}
    assert datagram(pc, address, port, timeout_s=0.3) in REFUSED
    assert ping(pc, address, timeout_s=0.3).received == (1 if address == PLC_ADDRESS else 0)
    assert everybody.lines() == []


def test_udp_is_refused_when_the_port_is_granted_for_tcp(pc: Place, everybody: Heard) -> None:
    assert datagram(pc, PLC_ADDRESS, 502, timeout_s=0.3) in REFUSED
    assert everybody.lines() == []


def test_ping_is_refused_when_it_is_not_granted(pc: Place, site: Ground) -> None:
    site.apply(session(1, device(MODBUS)))
    assert ping(pc, PLC_ADDRESS, timeout_s=0.3).received == 0


def test_nothing_is_open_when_no_device_is_granted(pc: Place, site: Ground) -> None:
    site.apply(session(1))
    assert knock(pc, PLC_ADDRESS, 502) in {"refused", "unreachable"}
    site.apply(session(1, device(MODBUS)), dev=())
    assert knock(pc, PLC_ADDRESS, 502) in {"refused", "unreachable"}


def test_range_of_ports_is_open_when_it_is_granted(pc: Place, site: Ground) -> None:
    site.apply(session(1, device(Service("all", "tcp", 1, 65535), MODBUS, Service("more", "udp", 100, 200))))
    assert knock(pc, PLC_ADDRESS, 80) == "open"
    assert knock(pc, PLC_ADDRESS, 502) == "open"
    assert datagram(pc, PLC_ADDRESS, 161) == "answered"
    assert datagram(pc, PLC_ADDRESS, 502, timeout_s=0.3) in REFUSED


def test_nothing_arrives_when_the_source_is_not_the_tunnel_address(pc: Place, site: Ground, everybody: Heard) -> None:
    # The kernel would drop it by itself, too; here the rules are looked at.
    site.lab.site.run(["sh", "-c", "echo 0 > /proc/sys/net/ipv4/conf/gls1/rp_filter"])
    for kind in ("STREAM", "DGRAM"):
        script = (
            f"import socket; s = socket.socket(socket.AF_INET, socket.SOCK_{kind}); s.settimeout(0.3)\n"
            "s.bind(('10.10.1.2', 0))\n"
            f"try:\n    s.connect(('{PLC_ADDRESS}', {502 if kind == 'STREAM' else 161})); s.send(b'x'); s.recv(1)\n"
            "except OSError as error: print(type(error).__name__)\n"
        )
        assert pc.run([sys.executable, "-I", "-S", "-c", script]).stdout.strip() == "TimeoutError"
    assert everybody.lines() == []


@pytest.mark.parametrize("address", ["255.255.255.255", "192.168.50.255", "224.0.0.251", "10.20.1.255"])
def test_nothing_arrives_when_it_is_broadcast_or_multicast(pc: Place, everybody: Heard, address: str) -> None:
    script = (
        "import socket, struct, sys\n"
        "s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)\n"
        "s.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)\n"
        "s.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, b'gl1')\n"
        "s.bind(('100.64.1.2', 0)); s.sendto(b'x', (sys.argv[1], 161))\n"
    )
    pc.run([sys.executable, "-I", "-S", "-c", script, address])
    assert datagram(pc, PLC_ADDRESS, 161) == "answered"
    assert everybody.lines() == ["udp 161 from 192.168.50.1"]


def test_ipv6_goes_nowhere_when_the_pc_sends_it(pc: Place, site: Ground, everybody: Heard) -> None:
    gateway_mac = tunnel_mac("100.64.1.1")
    pc.run(["ip", "-6", "route", "replace", "fd00:50:1::/64", "dev", "gl1"])
    pc.run(["ip", "-6", "address", "replace", "fd00:99::2/64", "dev", "gl1", "nodad"])
    for address in ("fd00:50:1::10", "fd00:50:1::1"):
        pc.run(["ip", "-6", "neighbour", "replace", address, "lladdr", gateway_mac, "dev", "gl1", "nud", "permanent"])
        assert ping(pc, address, timeout_s=0.3).received == 0
        assert knock(pc, address, 502, timeout_s=0.3) in {"silent", "unreachable"}
    assert site.lab.site.run(["ip", "-6", "address", "show", "dev", "gls1"]).stdout == ""
    assert everybody.lines() == []


def test_sm_answers_no_arp_when_the_pc_asks_for_its_addresses(pc: Place) -> None:
    for address in ("100.64.1.1", "192.168.50.1"):
        pc.run(["ip", "neighbour", "del", address, "dev", "gl1"], check=False)
        assert ping(pc, address, timeout_s=0.3).received == 0
    entries = pc.run(["ip", "neighbour", "show", "dev", "gl1"]).stdout
    assert "REACHABLE" not in entries
    pc.run(
        ["ip", "neighbour", "replace", "100.64.1.1", "lladdr", "02:67:6c:40:01:01", "nud", "permanent", "dev", "gl1"]
    )


def test_sessions_are_apart_when_two_run(module_lab: Lab, pc: Place, site: Ground, everybody: Heard) -> None:
    site.apply(session(1, device(MODBUS)), session(2, device(SNMP), user=b"bert"))
    other = module_lab.add_pc()
    program = site.pc(other, 2)
    other.start_module("lab.echo", "--tcp", "502", "--udp", "161").wait_for_line("echo listens")
    heard = Heard(other.processes[-1])
    try:
        assert knock(pc, PLC_ADDRESS, 502) == "open"
        assert datagram(pc, PLC_ADDRESS, 161, timeout_s=0.3) in REFUSED
        assert datagram(other, PLC_ADDRESS, 161) == "answered"
        assert knock(other, PLC_ADDRESS, 502) in {"refused", "unreachable"}
        for address in ("100.64.2.2", "100.64.2.1"):
            assert knock(pc, address, 502) in {"refused", "unreachable"}
            assert datagram(pc, address, 161, timeout_s=0.3) in REFUSED
        assert heard.lines() == []
    finally:
        program.kill9()


def test_plant_reaches_neither_uplink_nor_pc_when_a_session_runs(
    module_lab: Lab, pc: Place, neighbour: Place, everybody: Heard
) -> None:
    pc.start_module("lab.echo", "--tcp", "502", "--udp", "161", name="pc-echo").wait_for_line("echo listens")
    heard = Heard(pc.processes[-1])
    for network in ("10.20.1.0/24", "100.64.0.0/16", "203.0.113.0/24"):
        neighbour.run(["ip", "route", "replace", network, "via", "192.168.50.1"])
    # The way back, so that only the SM can be what stops it.
    module_lab.factory.run(["ip", "route", "replace", "192.168.50.0/24", "via", "10.20.1.2"])
    try:
        for address in ("10.20.1.1", "203.0.113.10", "100.64.1.2"):
            assert knock(neighbour, address, 502, timeout_s=0.3) != "open"
            assert datagram(neighbour, address, 161, timeout_s=0.3) != "answered"
            assert ping(neighbour, address, timeout_s=0.3).received == 0
        assert everybody.lines() == []
        assert heard.lines() == []
    finally:
        module_lab.factory.run(["ip", "route", "del", "192.168.50.0/24"])
        pc.processes[-1].kill9()

"""What a PC reaches through a session, tried with real packets: exactly what is granted."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from lab import Lab, Place, Process, knock, ping
from netns.sm_ground import ECHO, MODBUS, PLC_ADDRESS, SNMP, Ground, device, ground, session

pytestmark = pytest.mark.netns


@pytest.fixture(scope="module")
def plant(module_lab: Lab) -> Iterator[Process]:
    """A PLC that answers on many ports, a neighbour of it, and services of the SM itself and of the uplink's side."""
    neighbour = module_lab.add_host()
    for place in (neighbour, module_lab.site, module_lab.factory):
        place.start_module("lab.echo", "--tcp", "502", "--udp", "161").wait_for_line("echo listens")
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


def datagram(place: Place, address: str, port: int, timeout_s: float = 1.0) -> str:
    """Send one and say what came of it."""
    script = (
        "import socket, sys\n"
        "s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.settimeout(float(sys.argv[3]))\n"
        "s.connect((sys.argv[1], int(sys.argv[2]))); s.send(b'x')\n"
        "try:\n    s.recv(10); print('answered')\n"
        "except TimeoutError: print('silent')\n"
        "except OSError as e: print('refused')\n"
    )
    return place.run([sys.executable, "-I", "-S", "-c", script, address, str(port), str(timeout_s)]).stdout.strip()


def test_granted_port_is_open_when_asked_from_the_pc(pc: Place) -> None:
    assert knock(pc, PLC_ADDRESS, 502) == "open"


def test_granted_udp_and_ping_are_answered(pc: Place) -> None:
    assert datagram(pc, PLC_ADDRESS, 161) == "answered"
    assert ping(pc, PLC_ADDRESS).received == 1

"""Virtual addresses: the PC asks another address than the device has, and reaches what is granted there, no more."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import msgspec
import pytest

from gatelink.messages import DeviceAccess, Service
from lab import Lab, Place, Process, knock, ping
from netns.sm_ground import ECHO, MODBUS, PLC_ADDRESS, Ground, device, ground, session

pytestmark = pytest.mark.netns
VIRTUAL, OTHER_VIRTUAL = "100.96.0.7", "100.96.0.8"
NOBODY = Service("nobody", "udp", 9999, 9999)


def virtual(granted: DeviceAccess, address: str) -> DeviceAccess:
    """A granted device that has a virtual address as well."""
    return msgspec.structs.replace(granted, virtual_address=address)


@pytest.fixture(scope="module")
def plc(module_lab: Lab) -> Process:
    program = module_lab.plant.start_module("lab.echo", "--tcp", "502", "--tcp", "80", "--udp", "161")
    program.wait_for_line("echo listens")
    return program


@pytest.fixture(scope="module")
def site(module_lab: Lab, plc: Process, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ground]:
    with ground(module_lab, tmp_path_factory.mktemp("ground")) as found:
        found.apply(session(1, virtual(device(MODBUS, ECHO), VIRTUAL)))
        found.pc(module_lab.pc, 1)
        module_lab.pc.run(["ip", "route", "replace", "100.96.0.0/13", "via", "100.64.1.1", "dev", "gl1"])
        yield found


@pytest.fixture
def pc(module_lab: Lab, site: Ground) -> Place:
    site.apply(session(1, virtual(device(MODBUS, ECHO, NOBODY), VIRTUAL)))
    return module_lab.pc


def test_device_answers_when_its_virtual_address_is_asked(pc: Place, plc: Process) -> None:
    seen = len(plc.lines)
    assert knock(pc, VIRTUAL, 502) == "open"
    assert ping(pc, VIRTUAL).received == 1
    assert plc.lines[seen:] == ["tcp 502 from 192.168.50.1"]


def test_device_answers_by_its_own_address_as_well_when_it_has_a_virtual_one(pc: Place) -> None:
    assert knock(pc, PLC_ADDRESS, 502) == "open"
    assert ping(pc, PLC_ADDRESS).received == 1


def test_device_says_so_itself_when_nobody_listens_at_its_virtual_address(pc: Place) -> None:
    script = (
        "import socket\n"
        "s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.settimeout(2)\n"
        f"s.connect(('{VIRTUAL}', 9999)); s.send(b'x')\n"
        "try: s.recv(1)\n"
        "except OSError as error: print(type(error).__name__)\n"
    )
    assert pc.run([sys.executable, "-I", "-S", "-c", script]).stdout.strip() == "ConnectionRefusedError"


@pytest.mark.parametrize(("address", "port"), [(VIRTUAL, 80), (OTHER_VIRTUAL, 502), ("100.96.0.9", 502)])
def test_nothing_arrives_when_it_is_not_granted(pc: Place, site: Ground, plc: Process, address: str, port: int) -> None:
    """Another port; another session's virtual address; one that nobody has."""
    mine = session(1, virtual(device(MODBUS), VIRTUAL))
    site.apply(mine, session(2, virtual(device(MODBUS), OTHER_VIRTUAL), user=b"bert"))
    seen = len(plc.lines)
    assert knock(pc, address, port) in {"refused", "unreachable"}
    assert ping(pc, address, timeout_s=0.3).received == 0
    assert plc.lines[seen:] == []


def test_virtual_address_is_closed_when_the_grant_changes(pc: Place, site: Ground) -> None:
    site.apply(session(1, virtual(device(ECHO), VIRTUAL)))
    assert knock(pc, VIRTUAL, 502) in {"refused", "unreachable"}
    assert ping(pc, VIRTUAL).received == 1

"""A serial PLC at the machine, used from the PC through the whole link; and a break, which loses no byte."""

from __future__ import annotations

import json
import sys
import time

import pytest

from lab import Lab, Process, knock, wait_until
from lab.products import APPLIANCE, System
from netns.link_ground import quick_system, wait_until_resumed

pytestmark = [pytest.mark.netns, pytest.mark.timeout(600)]
BREAK_S = 8.0
"""Longer than it takes until both sides know; the SM's own limit is 45 s."""
_READ = """
import sys
from pymodbus.client import ModbusTcpClient
client = ModbusTcpClient(sys.argv[1], port=502, timeout=3, retries=0)
assert client.connect()
print(*client.read_holding_registers(5, count=3, device_id=7).registers)
print(client.read_holding_registers(5, count=1, device_id=8).exception_code)
client.close()
"""


@pytest.fixture(scope="module")
def talker(module_lab: Lab) -> Process:
    program = module_lab.site.start_module("lab.serial_plc", "talker", name="talker")
    program.wait_for_line("serial line at")
    return program


@pytest.fixture(scope="module")
def system(module_lab: Lab, talker: Process) -> System:
    found = quick_system(module_lab)
    plc = module_lab.site.start_module("lab.serial_plc", "modbus", name="serial-plc")
    paths = [process.wait_for_line(r"serial line at (\S+)")[1] for process in (plc, talker)]
    entries = [
        f'{{name = "{name}", device = "{path}", baud = 19200, answer_ms = 300}}'
        for name, path in zip(("drive", "scale"), paths, strict=True)
    ]
    found.sm.kill9()
    found.sm.run("config", "set", "serial", f"[{', '.join(entries)}]")
    found.sm.start()
    found.sm.wait_until_connected()
    for name, service in (("drive", "modbus"), ("scale", "serial-raw")):
        found.gm.run("devices", "add", APPLIANCE, name, name, "--serial")
        found.gm.run("services", "add", f"{APPLIANCE}/{name}", service)
    found.lm.run("connect", APPLIANCE)
    return found


def address_of(system: System, name: str) -> str:
    """The virtual address of a device."""
    (found,) = (row for row in system.gm.ask("devices", "list") if row["path"] == f"{APPLIANCE}/{name}")
    return str(found["virtual_address"])


def test_pc_reads_a_serial_plc_by_modbus_tcp(system: System) -> None:
    done = system.lab.pc.run([sys.executable, "-W", "ignore", "-c", _READ, address_of(system, "drive")])
    assert done.stdout.split() == ["105", "106", "107", str(0x0B)]
    ports = json.loads(system.sm.run("serial", "--json").stdout)["ports"]
    assert {(port["name"], port["settings"], port["present"]) for port in ports} >= {
        ("drive", "19200 8N1", True),
        ("scale", "19200 8N1", True),
    }


def test_nobody_but_a_session_reaches_a_serial_port(system: System) -> None:
    """Neither another port of it, nor somebody at the machine or in the uplink who knows the address."""
    lab, address = system.lab, address_of(system, "drive")
    assert knock(lab.pc, address, 502) == "open"
    assert knock(lab.pc, address, 2000) in {"refused", "unreachable"}
    for place, gateway in ((lab.plant, "192.168.50.1"), (lab.factory, "10.20.1.2")):
        place.run(["ip", "route", "replace", address, "via", gateway])
        try:
            assert knock(place, address, 502, timeout_s=0.5) == "silent"
        finally:
            place.run(["ip", "route", "del", address])


def test_no_byte_is_lost_when_the_link_breaks(system: System, talker: Process) -> None:
    address = address_of(system, "scale")
    terminal = system.lab.pc.start_module("netns.serial_terminal", address, "2000", name="terminal")
    terminal.wait_for_line("read", 10)
    talker.wait_for_line("heard pc", 10)
    seen = len(talker.lines)  # before somebody has the port open, what is said is nobody's
    uplink = system.lab.line("factory-site")
    uplink.cut()
    begin = time.monotonic()
    wait_until(lambda: time.monotonic() - begin > BREAK_S, BREAK_S + 5, "the break to be over")
    last_before = terminal.lines[-1]
    uplink.mend()
    wait_until_resumed(system.lm)
    wait_until(lambda: terminal.lines[-1] != last_before, 40, "bytes to come again")
    target = int(talker_number(terminal)) + int(BREAK_S / 0.02)
    wait_until(lambda: talker_number(terminal) > target, 40, "everything to come that was said meanwhile")
    wait_until(lambda: len(heard(talker)) > 10 * BREAK_S, 40, "everything to arrive that was written meanwhile")
    assert not [line for line in terminal.lines if line.startswith(("gap", "lost"))]
    assert not [line for line in talker.lines[seen:] if line.startswith("lost")]
    numbers = heard(talker)
    assert numbers == list(range(len(numbers)))
    terminal.kill9()


def heard(talker: Process) -> list[int]:
    """The numbers of the lines that came from the PC."""
    return [int(line.removeprefix("heard pc")) for line in tuple(talker.lines) if line.startswith("heard pc")]


def talker_number(terminal: Process) -> int:
    """The last number that the PC read."""
    return int(next(line for line in reversed(terminal.lines) if line.startswith("read")).split()[1])


def test_serial_port_is_free_again_when_its_user_left(system: System) -> None:
    system.lm.run("disconnect", "--all")
    system.lm.run("connect", APPLIANCE)
    terminal = system.lab.pc.start_module("netns.serial_terminal", address_of(system, "scale"), "2000", name="terminal")
    terminal.wait_for_line("read", 15)
    terminal.kill9()

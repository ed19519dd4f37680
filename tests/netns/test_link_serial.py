"""Serial PLCs at the machine, used from the PC through the whole link; and a break, which loses no byte."""

from __future__ import annotations

import json
import os
import sys
import termios
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from lab import Lab, Process, knock, wait_until
from lab.products import APPLIANCE, System
from netns.link_ground import quick_system, wait_until_resumed

pytestmark = [pytest.mark.netns, pytest.mark.timeout(600)]
BREAK_S = float(os.environ.get("GATELINK_BREAK_S", "8"))
"""Longer than it takes until both sides know; the SM's own limit is 45 s. By hand: `GATELINK_BREAK_S=28`."""
PATIENCE_S = 60 + 2 * BREAK_S
"""After a break TCP waits as long again before it repeats what was lost (RFC 6298, 5.5)."""
_READ = """
import sys
from pymodbus.client import ModbusTcpClient
client = ModbusTcpClient(sys.argv[1], port=502, timeout=3, retries=0)
assert client.connect()
print(*client.read_holding_registers(5, count=3, device_id=7).registers)
print(client.read_holding_registers(5, count=1, device_id=8).exception_code)
client.close()
"""
_MASTER = """
import signal, sys
from pymodbus.client import ModbusSerialClient
tty, baud, stop_bits = sys.argv[1:]
client = ModbusSerialClient(tty, baudrate=int(baud), stopbits=int(stop_bits), timeout=20, retries=0)
assert client.connect()
assert not client.write_register(9, int(baud) // 100, device_id=7).isError()
print("read", *client.read_holding_registers(5, count=5, device_id=7).registers, flush=True)
signal.pause()
"""
"""A master on a serial port, which it keeps open until it is killed."""
_TERMINAL = """
import signal, sys
from serial import Serial
line = Serial(sys.argv[1], int(sys.argv[2]), parity="O", stopbits=2)
print("open", flush=True)
signal.pause()
"""
"""One that sets odd parity. (pymodbus sets its line twice, which the C library refuses for parity on a pty.)"""
LINE = "38400,8,E,2"
"""As the administrator says at the GateManager."""


@pytest.fixture(scope="module")
def talker(module_lab: Lab) -> Process:
    program = module_lab.site.start_module("lab.serial_plc", "talker", name="talker")
    program.wait_for_line("serial line at")
    return program


@pytest.fixture(scope="module")
def system(module_lab: Lab, talker: Process) -> System:
    found = quick_system(module_lab)
    plc = module_lab.site.start_module("lab.serial_plc", "modbus", name="serial-plc")
    other_plc = module_lab.site.start_module("lab.serial_plc", "modbus", name="other-serial-plc")
    paths = [process.wait_for_line(r"serial line at (\S+)", 60)[1] for process in (plc, talker, other_plc)]
    entries = [
        f'{{name = "{name}", device = "{path}", baud = 19200, answer_ms = 300}}'
        for name, path in zip(("drive", "scale", "meter"), paths, strict=True)
    ]
    found.sm.kill9()
    found.sm.run("config", "set", "serial", f"[{', '.join(entries)}]")
    found.sm.start()
    found.sm.wait_until_connected()
    for name, service, line in (("drive", "modbus", ""), ("scale", "serial-raw", ""), ("meter", "rfc2217", LINE)):
        found.gm.run("devices", "add", APPLIANCE, name, name, "--serial", "--serial-settings", line)
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
    assert {(port["name"], port["settings"], port["present"]) for port in serial_ports(system)} >= {
        ("drive", "19200 8N1", True),
        ("scale", "19200 8N1", True),
        ("meter", "38400 8E2", True),
    }


def serial_ports(system: System) -> list[dict[str, Any]]:
    """What `sm serial` says."""
    return list(json.loads(system.sm.run("serial", "--json").stdout)["ports"])


def wait_for_settings(system: System, settings: str) -> None:
    """Wait until the meter's line is set so; while somebody has it open that is what he set."""

    def is_set() -> bool:
        return any(port["name"] == "meter" and port["settings"] == settings for port in serial_ports(system))

    wait_until(is_set, 60, f"the meter's line to be set to {settings}")


def tty_of(system: System) -> str:
    """The meter's serial port on the PC."""
    (session,) = system.lm.ask("status")["sessions"]
    (found,) = (device["tty"] for device in session["devices"] if device["name"] == "meter")
    return str(found)


def speed_of(tty: str) -> int:
    """How a pty is set; 0 while it is made anew."""
    try:
        descriptor = os.open(tty, os.O_RDWR | os.O_NOCTTY)
    except OSError:
        return 0
    try:
        return int(termios.tcgetattr(descriptor)[4])
    finally:
        os.close(descriptor)


@contextmanager
def opened(system: System, script: str, tty: str, *settings: str) -> Iterator[Process]:
    """A program of an ordinary user that has a serial port of his PC open while inside."""
    argv = [sys.executable, "-W", "ignore", "-c", script, tty, *settings]
    program = system.lab.pc.start(argv, name="application", user=system.lm.user)
    try:
        yield program
    finally:
        program.kill9()


def test_serial_port_of_the_machine_is_one_of_the_pc_with_a_name_that_stays(system: System) -> None:
    tty = tty_of(system)
    assert tty.endswith("/meter.press.line3.acme")
    # What nobody can say on a pty (even parity) is as the administrator said; odd parity leaves a trace.
    with opened(system, _MASTER, tty, "57600", "1") as program:
        program.wait_for_line("read 105 106 107 108 576", 60)
        wait_for_settings(system, "57600 8E1")
    wait_for_settings(system, "38400 8E2")
    with opened(system, _TERMINAL, tty, "9600") as program:
        program.wait_for_line("open", 60)
        wait_for_settings(system, "9600 8O2")
    wait_for_settings(system, "38400 8E2")
    system.gm.run("devices", "change", f"{APPLIANCE}/meter", "--serial-settings", "19200 7O1")
    wait_for_settings(system, "19200 7O1")
    wait_until(lambda: speed_of(tty) == termios.B19200, 60, "the PC's port to be set as the administrator says")
    with opened(system, _MASTER, tty, "19200", "1") as program:
        program.wait_for_line("read 105 106 107 108 192", 60)
        wait_for_settings(system, "19200 7O1")


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
    wait_until(lambda: terminal.lines[-1] != last_before, PATIENCE_S, "bytes to come again")
    target = int(talker_number(terminal)) + int(BREAK_S / 0.02)
    wait_until(lambda: talker_number(terminal) > target, PATIENCE_S, "everything to come that was said meanwhile")
    wait_until(lambda: len(heard(talker)) > 10 * BREAK_S, PATIENCE_S, "everything to arrive that was written meanwhile")
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
    tty = tty_of(system)
    system.lm.run("disconnect", "--all")
    assert not os.path.lexists(tty)
    system.lm.run("connect", APPLIANCE)
    assert tty_of(system) == tty
    assert os.path.lexists(tty)
    terminal = system.lab.pc.start_module("netns.serial_terminal", address_of(system, "scale"), "2000", name="terminal")
    terminal.wait_for_line("read", 15)
    terminal.kill9()

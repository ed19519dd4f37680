"""Sleep and wake, from cable to Wi-Fi, another address: the session comes back by itself and applications go on."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator

import pytest

from lab import Lab, Process, wait_until
from lab.products import PLC_ADDRESS, System
from netns.test_lm_overlap import routes

pytestmark = [pytest.mark.netns, pytest.mark.timeout(600)]
OUTAGE_S = 30.0
SETTINGS = (
    "[session]",
    "keepalive_s = 2.0",
    "backoff_first_s = 0.1",
    "backoff_longest_s = 1.0",
    "[link]",
    "backoff_first_s = 0.1",
    "backoff_longest_s = 1.0",
)


@pytest.fixture(scope="module")
def system(module_lab: Lab) -> System:
    found = System(module_lab)
    found.lm.configure(*SETTINGS)
    found.__enter__()
    return found


@pytest.fixture
def client(system: System) -> Iterator[Process]:
    """An ordinary Modbus client: one TCP connection all the time."""
    system.lm.run("connect", "press")
    polls = ("--polls", "0", "--period", "0.2", "--timeout", "90")
    found = system.lab.pc.start_module("lab.modbus_client", "--address", PLC_ADDRESS, *polls)
    found.wait_for_line("ms: ")
    yield found
    found.kill9()
    system.lm.run("disconnect", "--all")


def _goes_on(client: Process, deadline_s: float) -> None:
    """Wait for the next answer over the same connection."""
    seen = len(client.lines)
    wait_until(lambda: len(client.lines) > seen, deadline_s, "the PLC's next answer")
    assert client.returncode is None, client.log


def _device_routes(system: System) -> list[tuple[str, str]]:
    return [(route["dst"], route["dev"]) for route in routes(system.lab.pc) if route.get("dev", "").startswith("gl")]


def test_connection_survives_when_the_pc_slept_for_half_a_minute(system: System, client: Process) -> None:
    before = _device_routes(system)
    agent = system.lm.agent_pid
    line = system.lab.line("pc-office")
    line.cut()
    os.kill(agent, signal.SIGSTOP)
    begin = time.monotonic()
    wait_until(lambda: time.monotonic() - begin > OUTAGE_S, OUTAGE_S + 5, "the PC to wake")
    assert _device_routes(system) == before
    os.kill(agent, signal.SIGCONT)
    line.mend()
    woken = time.monotonic()
    _goes_on(client, 60)
    print(f"\nasleep for {OUTAGE_S:.0f} s; the PLC's next answer {time.monotonic() - woken:.1f} s after waking")
    assert _device_routes(system) == before
    (session,) = system.lm.ask("status")["sessions"]
    assert session["reconnects"] >= 1


def test_connection_survives_when_the_pc_changes_from_cable_to_wifi(system: System, client: Process) -> None:
    pc, office = system.lab.pc, system.lab.office
    before = _device_routes(system)
    pc.run(["ip", "link", "add", "wlan0", "type", "veth", "peer", "name", "to-wlan", "netns", office.namespace])
    office.run(["ip", "link", "set", "to-wlan", "master", "lan0", "up"])
    pc.run(["ip", "address", "add", "10.10.1.88/24", "dev", "wlan0"])
    pc.run(["ip", "link", "set", "wlan0", "up"])
    pc.run(["ip", "route", "add", "default", "via", "10.10.1.1", "dev", "wlan0", "metric", "600"])
    pc.run(["ip", "link", "set", "eth0", "down"])
    try:
        _goes_on(client, 60)
        wait_until(lambda: system.lm.ask("status")["sessions"][0]["state"] == "up", 30, "the session")
        assert _device_routes(system) == before
    finally:
        pc.run(["ip", "link", "set", "eth0", "up"])
        pc.run(["ip", "route", "replace", "default", "via", "10.10.1.1", "dev", "eth0"])
        pc.run(["ip", "link", "del", "wlan0"])
    _goes_on(client, 60)
    wait_until(lambda: system.lm.ask("status")["connected"], 60, "the control connection")


def test_connection_survives_when_the_pc_gets_another_address(system: System, client: Process) -> None:
    before = _device_routes(system)
    system.lab.pc.change_address("10.10.1.77/24")
    _goes_on(client, 60)
    wait_until(lambda: system.lm.ask("status")["sessions"][0]["state"] == "up", 30, "the session")
    assert _device_routes(system) == before

"""A unit that is used hard: the short form of `make soak`, and a device that holds all connections of its page."""

from __future__ import annotations

import sys

import pytest

from bench.soak.held import Held
from bench.soak.unit import Unit
from bench.soak.verdict import PIECES, text, verdicts
from lab import Lab, TimedOut, wait_until

pytestmark = [pytest.mark.netns, pytest.mark.timeout(600)]
_WARM, _SESSIONS, _ATTEMPTS = 10, 60, 8
_BACKOFF_S = 1.0
_DEADLINE_S = 120.0


_HOLD = """
import socket, subprocess, sys, time
held = []
for number in range(100, 140):
    address = f"192.168.50.{number}"
    subprocess.run(["ip", "address", "add", f"{address}/24", "dev", "br0"], check=True)
    for port in (80, 443, 80, 443):
        held.append(socket.create_connection(("192.168.50.1", port), 60, (address, 0)))
        if port == 80:
            held[-1].send(b"GET /login HTTP/1.1\\r\\n")
print("holding", flush=True)
time.sleep(600)
"""
"""Opens 160 connections from 40 addresses: TLS without a word, and requests that never end."""


@pytest.fixture(scope="module")
def unit(module_lab: Lab) -> Unit:
    return Unit(module_lab, _BACKOFF_S)


def test_page_opens_at_once_when_a_device_holds_all_its_connections(unit: Unit) -> None:
    lab = unit.lab
    lab.add_host()
    argv = ["curl", "-sk", "-o", "/dev/null", "-w", "%{http_code}", "-m", "60"]
    hostile = lab.plant.start([sys.executable, "-c", _HOLD], name="hostile")
    hostile.wait_for_line("holding", _DEADLINE_S)
    for place in (lab["plant-b"], lab.plant):
        for url in ("http://192.168.50.1/login", "https://192.168.50.1/login"):
            assert place.run([*argv, url]).stdout == "200", (place, url)
    assert unit.now().page_descriptors < 64
    hostile.kill9()


def wait_until_as_before(unit: Unit, before: Held) -> None:
    """Wait until nothing is there in more pieces than it was: between two attempts, and when the last end is told."""

    def is_as_before() -> bool:
        return not [name for name, *_, grown in verdicts(before, unit.now()) if grown and name in PIECES]

    try:
        wait_until(is_as_before, _DEADLINE_S, "the daemon to hold what it held")
    except TimedOut:
        pytest.fail(text(before, unit.now()))


def test_daemon_holds_what_it_held_when_sessions_came_and_went_and_no_gatemanager_answers(unit: Unit) -> None:
    unit.call(_WARM, 2)
    before = unit.at_rest()
    assert not {"cryptography", "starlette", "pymodbus"}.intersection(before.packages), "megabytes that nobody needs"
    said = unit.call(_SESSIONS, 4)
    assert int(said.split()[-2]) < _SESSIONS / 10, said  # a busy machine may be too late for a ticket
    wait_until_as_before(unit, before)

    unit.gm.kill9()
    wait_until(lambda: unit.failed_attempts() >= 3, _DEADLINE_S, "the first attempts to fail")
    before = unit.at_rest()
    seen = unit.failed_attempts()
    wait_until(lambda: unit.failed_attempts() >= seen + _ATTEMPTS, _DEADLINE_S, "more attempts to fail")
    wait_until_as_before(unit, before)

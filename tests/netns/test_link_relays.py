"""Permanent relays: a historian reads the PLC, the PLC reaches a central server; nobody sits at a keyboard."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from lab import Lab, Process, wait_until
from lab.places import Place
from lab.products import DEVICE, PASSWORD, USER, System
from netns.link_ground import KEEPALIVE_S, Poller, quick_system

pytestmark = [pytest.mark.netns, pytest.mark.timeout(900)]
PATIENCE_S = 90.0
SM_ADDRESS = "192.168.50.1"
"""Of the SiteManager in the plant."""
PC_ADDRESS = "10.10.1.2"
PULL_PORT, PUSH_PORT, SERVER_PORT = 15020, 1883, 18830
_KNOCK = """
import socket, sys
try:
    with socket.create_connection((sys.argv[1], int(sys.argv[2])), 20) as server:
        server.sendall(bytes.fromhex("000100000006010300000001"))
        print("answered" if server.recv(1) else "closed")
except OSError as error:
    print("refused", error)
"""
"""Reads a register by Modbus TCP."""


class Carrier:
    """The LinkManager of a server: its agent in the foreground, as a service manager starts it."""

    def __init__(self, system: System) -> None:
        self._lm = system.lm
        self._password = system.lm.directory / "password"
        self._password.write_text(PASSWORD)
        self._password.chmod(0o644)
        self.push_grant = ""
        self.process = self.start()

    def start(self) -> Process:
        self.process = self._lm.begin("agent", "--password-file", str(self._password))
        self.process.wait_for_line("Logged in to", PATIENCE_S)
        return self.process


@pytest.fixture(scope="module")
def system(module_lab: Lab) -> System:
    """Without any grant; the central server listens, and this host's settings say that it is the one."""
    found = quick_system(module_lab)
    found.lm.run("logout")
    for grant in found.gm.ask("grants", "list"):
        found.gm.run("grants", "end", grant["id"])
    server = module_lab.pc.start_module("lab.plc", "--address", "127.0.0.1", "--port", str(SERVER_PORT), name="server")
    server.wait_for_line("PLC listens")
    found.lm.configure(
        *("[link]", "backoff_longest_s = 2", "[session]", f"keepalive_s = {KEEPALIVE_S}"),
        *("[relays]", "enabled = true", f'named.to-server = {{ server = "127.0.0.1:{SERVER_PORT}" }}'),
    )
    gm = found.gm
    gm.run("relays", "add", "pull", "from-plc", DEVICE, str(PULL_PORT), "--user", USER, "--service", "modbus")
    gm.run("relays", "add", "push", "to-server", DEVICE, str(PUSH_PORT), "--user", USER)
    return found


@pytest.fixture(scope="module")
def carrier(system: System) -> Carrier:
    """Both relays work."""
    carrier = Carrier(system)
    wait_for_states(system, "denied")
    system.gm.run("grants", "add", USER, "--device", DEVICE, "--service", "modbus")
    added = system.gm.run("grants", "add", USER, "--device", DEVICE, "--service", "push").stdout
    carrier.push_grant = added.split()[-1]
    wait_for_states(system, "listening")
    return carrier


def states(system: System) -> dict[str, dict[str, Any]]:
    return {row["name"]: row for row in system.gm.ask("relays", "list")}


def wait_for_states(system: System, *wanted: str) -> None:
    """Wait until each relay is in one of these states."""
    wait_until(
        lambda: {row["state"] for row in states(system).values()} <= {*wanted},
        PATIENCE_S,
        f"the relays to be {' or '.join(wanted)}",
    )


@contextmanager
def polled(system: System) -> Iterator[tuple[Poller, Poller]]:
    """A historian that reads the PLC, and the PLC that reads at the central server: one connection each."""
    pull = Poller(system.lab.pc, address="127.0.0.1", port=PULL_PORT, patience_s=PATIENCE_S)
    push = Poller(system.lab.plant, address=SM_ADDRESS, port=PUSH_PORT, patience_s=PATIENCE_S)
    try:
        yield pull, push
    finally:
        pull.stop()
        push.stop()


def wait_for_use(system: System) -> None:
    """Wait until new connections are carried both ways."""
    wait_until(lambda: answers(system.lab.pc, "127.0.0.1", PULL_PORT), PATIENCE_S, "a pull")
    wait_until(lambda: answers(system.lab.plant, SM_ADDRESS, PUSH_PORT), PATIENCE_S, "a push")


def answers(place: Place, address: str, port: int) -> bool:
    """Whether a Modbus server answers there."""
    return knock(place, address, port) == "answered"


def knock(place: Place, address: str, port: int) -> str:
    return place.run([sys.executable, "-c", _KNOCK, address, str(port)]).stdout.split()[0]


def test_relays_carry_what_is_granted_and_nothing_else(system: System, carrier: Carrier) -> None:
    with polled(system) as (pull, push):
        pull.wait_for_answer(PATIENCE_S)
        push.wait_for_answer(PATIENCE_S)
        # Another host of the plant, another port of the SiteManager, another address of the server.
        neighbour = system.lab.add_host()
        assert knock(neighbour, SM_ADDRESS, PUSH_PORT) == "refused"
        assert knock(system.lab.plant, SM_ADDRESS, PUSH_PORT + 1) == "refused"
        assert knock(system.lab.pc, PC_ADDRESS, PULL_PORT) == "refused"
        # The device itself reaches that one port of the PC's end, and no other one through the SiteManager.
        [session] = system.gm.ask("sessions", "list")
        assert session["devices"] == ["plc"]

        def counted() -> bool:
            found = states(system)
            return all(row["bytes_to_device"] and row["bytes_from_device"] for row in found.values())

        wait_until(counted, PATIENCE_S, "bytes to be counted")
    events = {entry["event"] for entry in system.gm.ask("audit", "list")}
    assert {"relay.added", "session.opened"} <= events


def test_open_connections_go_on_when_the_line_was_cut_without_a_word(system: System, carrier: Carrier) -> None:
    with polled(system) as (pull, push):
        line = system.lab.line("factory-site")
        line.cut()
        try:
            wait_for_states(system, "reconnecting", "offline")
        finally:
            line.mend()
        wait_for_states(system, "listening")
        pull.wait_for_answer(PATIENCE_S)
        push.wait_for_answer(PATIENCE_S)


@pytest.mark.parametrize("who", ["sm", "gm", "agent"])
def test_relays_come_back_by_themselves_when_a_part_is_killed(system: System, carrier: Carrier, who: str) -> None:
    if who == "sm":
        system.sm.kill9()
        system.sm.start()
    elif who == "gm":
        system.gm.kill9()
        system.gm.start()
    else:
        carrier.process.kill9()
        carrier.start()
    wait_for_use(system)
    wait_for_states(system, "listening")


def test_relays_end_when_what_allows_them_ends(system: System, carrier: Carrier) -> None:
    gm = system.gm
    with polled(system) as (pull, push):
        system.sm.run("lock")
        pull.wait_until_lost(PATIENCE_S)
        wait_for_states(system, "locked")
        assert knock(system.lab.plant, SM_ADDRESS, PUSH_PORT) == "refused"
        assert knock(system.lab.pc, "127.0.0.1", PULL_PORT) == "refused"
        push.stop()
    system.sm.run("unlock")
    wait_for_states(system, "listening")
    with polled(system) as (pull, push):
        gm.run("grants", "end", carrier.push_grant)
        wait_until(lambda: states(system)["to-server"]["state"] == "denied", PATIENCE_S, "the push to be denied")
        wait_until(lambda: knock(system.lab.plant, SM_ADDRESS, PUSH_PORT) == "refused", PATIENCE_S, "no push")
        pull.wait_for_answer(PATIENCE_S)
        gm.run("relays", "remove", "from-plc")
        pull.wait_until_lost(PATIENCE_S)
        wait_until(lambda: knock(system.lab.pc, "127.0.0.1", PULL_PORT) == "refused", PATIENCE_S, "no pull")
    wait_until(lambda: not system.gm.ask("sessions", "list"), PATIENCE_S, "no session for nothing")

"""The SM's changes to its host: connections through changes of grants, and nothing left behind, whatever happens."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from gatelink.messages import Service
from lab import Lab, Place, Process, knock, wait_until
from netns.sm_ground import MODBUS, PLC_ADDRESS, SNMP, Ground, device, ground, session

pytestmark = pytest.mark.netns

_DIALOGUE = f"""
import socket, sys
s = socket.create_connection(({PLC_ADDRESS!r}, 502), 5)
print("connected", flush=True)
for line in sys.stdin:
    s.settimeout(float(line))
    try:
        s.send(b"hello")
        print("answered" if s.recv(5) else "closed", flush=True)
    except TimeoutError: print("silent", flush=True)
    except OSError as error: print(type(error).__name__, flush=True)
"""


_PUSHING_PLC = """
import socket, sys, time
listener = socket.create_server(("0.0.0.0", 503))
print("listens", flush=True)
connection, _ = listener.accept()
try:
    while True:
        connection.send(b"news")
        time.sleep(0.05)
except OSError as error: print(type(error).__name__, flush=True)
"""
_LISTENING_PC = f"""
import socket
connection = socket.create_connection(({PLC_ADDRESS!r}, 503), 5)
connection.settimeout(20)
while connection.recv(4096): print("news", flush=True)
"""


@pytest.fixture
def site(module_lab: Lab, tmp_path: Path) -> Iterator[Ground]:
    with ground(module_lab, tmp_path) as found:
        yield found


@pytest.fixture(scope="module")
def plc(module_lab: Lab) -> Process:
    program = module_lab.plant.start_module("lab.echo", "--tcp", "502", name="plc")
    program.wait_for_line("echo listens")
    return program


@pytest.fixture
def far_end(module_lab: Lab, site: Ground, plc: Process) -> Iterator[Process]:
    """The PC of session 1, which is open to the PLC's Modbus."""
    site.apply(session(1, device(MODBUS)))
    program = site.pc(module_lab.pc, 1)
    yield program
    program.kill9()


class Dialogue:
    """A TCP connection from the PC to the PLC, held by a program that says what becomes of it."""

    def __init__(self, pc: Place) -> None:
        import subprocess

        self._program = subprocess.Popen(
            pc.argv([sys.executable, "-I", "-S", "-u", "-c", _DIALOGUE]),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._read() == "connected"

    def ask(self, timeout_s: float = 3.0) -> str:
        """Say something and tell what came of it."""
        assert self._program.stdin is not None
        self._program.stdin.write(f"{timeout_s}\n")
        self._program.stdin.flush()
        return self._read()

    def close(self) -> None:
        """End the program."""
        self._program.kill()
        self._program.communicate()

    def _read(self) -> str:
        assert self._program.stdout is not None
        return self._program.stdout.readline().strip()


@pytest.fixture
def dialogue(module_lab: Lab, far_end: Process) -> Iterator[Dialogue]:
    found = Dialogue(module_lab.pc)
    yield found
    found.close()


def snapshot(site: Place) -> dict[str, str]:
    """Everything of a host's network that an SM touches."""
    forwarding = (
        "for f in /proc/sys/net/ipv[46]/conf/*/forwarding /proc/sys/net/ipv4/ip_forward; do echo $f $(cat $f); done"
    )
    return {
        "links": site.run(["ip", "-brief", "link"]).stdout,
        "addresses": site.run(["ip", "-brief", "address"]).stdout,
        "routes": site.run(["ip", "route", "show", "table", "all"]).stdout,
        "rules": site.run(["ip", "rule"]).stdout,
        "nft": site.run(["nft", "list", "ruleset"]).stdout,
        "neighbours": site.run(["ip", "neighbour", "show", "nud", "permanent"]).stdout,
        "forwarding": site.run(["sh", "-c", forwarding]).stdout,
    }


def test_connection_lives_on_when_other_grants_change(site: Ground, dialogue: Dialogue) -> None:
    assert dialogue.ask() == "answered"
    site.apply(session(1, device(MODBUS, SNMP), device(SNMP, address="192.168.50.11")))
    assert dialogue.ask() == "answered"


@pytest.mark.parametrize(
    "left",
    [
        pytest.param((device(SNMP),), id="service withdrawn"),
        pytest.param((device(MODBUS, address="192.168.50.11"),), id="device withdrawn"),
        pytest.param((), id="everything withdrawn"),
    ],
)
def test_connection_dies_at_once_when_its_grant_is_withdrawn(
    site: Ground, dialogue: Dialogue, left: tuple[object, ...]
) -> None:
    assert dialogue.ask() == "answered"
    site.apply(session(1, *left))  # type: ignore[arg-type]
    assert dialogue.ask() == "ConnectionResetError"


def test_connection_to_the_plc_lives_on_when_the_session_is_resumed(
    site: Ground, far_end: Process, dialogue: Dialogue
) -> None:
    assert dialogue.ask() == "answered"
    said = len(far_end.lines)
    site.apply()
    far_end.wait_for_line("pc disconnected", after=said)
    site.apply(session(1, device(MODBUS)))
    far_end.wait_for_line("pc connected", after=said)
    assert dialogue.ask(10.0) == "answered"


def test_connection_is_refused_when_the_address_has_gone_to_another_user(
    site: Ground, far_end: Process, dialogue: Dialogue, module_lab: Lab
) -> None:
    assert dialogue.ask() == "answered"
    said = len(far_end.lines)
    site.apply()
    far_end.wait_for_line("pc disconnected", after=said)
    site.apply(session(1, device(MODBUS), user=b"bert"))
    far_end.wait_for_line("pc connected", after=said)
    assert dialogue.ask() == "ConnectionResetError"
    assert knock(module_lab.pc, PLC_ADDRESS, 502) == "open"


def test_plc_that_goes_on_talking_is_not_reset_when_its_session_is_away(
    module_lab: Lab, site: Ground, plc: Process
) -> None:
    """Nor do its packets leave by the uplink, though this SM is a router of its owner's, too."""
    talk = device(Service("news", "tcp", 503, 503))
    switch = "/proc/sys/net/ipv4/conf/eth1/forwarding"
    module_lab.site.run(["sh", "-c", f"echo 1 > {switch}"])
    site.apply(session(1, talk))
    far_end = site.pc(module_lab.pc, 1)
    pushing = module_lab.plant.start([sys.executable, "-I", "-S", "-c", _PUSHING_PLC], name="pushing")
    pushing.wait_for_line("listens")
    listening = module_lab.pc.start([sys.executable, "-I", "-S", "-c", _LISTENING_PC], name="listening")
    uplink = module_lab.factory.start(["tcpdump", "-nl", "--immediate-mode", "-i", "lan0", "net", "100.64.0.0/10"])
    at_plc = module_lab.site.start(["tcpdump", "-nl", "--immediate-mode", "-i", "eth1", "src", PLC_ADDRESS])
    try:
        for program in (uplink, at_plc):
            program.wait_for_line("listening on")
        listening.wait_for_line("news")
        for other in ((), (session(2, device(MODBUS)),)):
            site.apply(*other)
            seen = len(at_plc.lines)
            wait_until(lambda seen=seen: len(at_plc.lines) >= seen + 3, 20.0, "the PLC to send again")  # type: ignore[misc]
        heard = len(listening.lines)
        site.apply(session(1, talk))
        listening.wait_for_line("news", 20.0, after=heard)
        assert pushing.returncode is None, pushing.log
        assert [line for line in uplink.lines if " > 100.64." in line] == []
    finally:
        for program in (pushing, listening, far_end):
            program.kill9()
        for program in (uplink, at_plc):
            program.terminate()
        module_lab.site.run(["sh", "-c", f"echo 0 > {switch}"])


def test_host_is_as_before_when_the_last_session_ended(module_lab: Lab, site: Ground) -> None:
    site.apply()
    before = snapshot(module_lab.site)
    site.apply(session(1, device(MODBUS)), session(2, device(MODBUS)))
    during = snapshot(module_lab.site)
    assert all(during[part] != before[part] for part in ("links", "nft", "forwarding", "neighbours"))
    assert "ip_forward 0" in during["forwarding"]
    site.apply(session(2, device(MODBUS)))
    site.apply()
    assert snapshot(module_lab.site) == before


def test_nothing_is_left_when_it_was_killed_and_cleans_up(module_lab: Lab, site: Ground) -> None:
    before = snapshot(module_lab.site)
    site.apply(session(1, device(MODBUS)))
    site.kill9()
    crashed = snapshot(module_lab.site)
    assert crashed["links"] == before["links"], "adapters go with the process"
    assert crashed["nft"] != before["nft"], "rules stay, and stay closed"
    site.start()
    site.clean_up()
    assert snapshot(module_lab.site) == before


def test_adapter_of_a_stranger_goes_when_it_has_a_name_of_ours(module_lab: Lab, site: Ground) -> None:
    module_lab.site.run(["ip", "tuntap", "add", "dev", "gls7", "mode", "tap"])
    module_lab.site.run(["ip", "tuntap", "add", "dev", "glsx", "mode", "tap"])
    site.clean_up()
    assert "gls7" not in snapshot(module_lab.site)["links"]
    assert "glsx" in snapshot(module_lab.site)["links"]
    module_lab.site.run(["ip", "link", "del", "glsx"])


def test_forwarding_stays_as_the_owner_had_it_when_it_was_on(module_lab: Lab, site: Ground) -> None:
    switch = "/proc/sys/net/ipv4/conf/eth1/forwarding"
    module_lab.site.run(["sh", "-c", f"echo 1 > {switch}"])
    try:
        site.apply(session(1, device(MODBUS)))
        assert 'iifname "eth1" drop' not in site.nft()
        site.apply()
        assert module_lab.site.run(["cat", switch]).stdout.strip() == "1"
    finally:
        module_lab.site.run(["sh", "-c", f"echo 0 > {switch}"])


def test_forwarding_is_restored_when_two_runs_crashed(module_lab: Lab, site: Ground) -> None:
    before = snapshot(module_lab.site)["forwarding"]
    for _ in range(2):
        site.apply(session(1, device(MODBUS)))
        site.kill9()
        site.start()
    site.clean_up()
    assert snapshot(module_lab.site)["forwarding"] == before


def test_session_opens_when_a_machine_side_is_missing(module_lab: Lab, site: Ground, plc: Process) -> None:
    program = None
    try:
        site.lab.site.run(["ip", "link", "add", "eth9", "type", "veth", "peer", "name", "eth10"])
        site.apply(session(1, device(MODBUS)), dev=("eth1", "eth9"))
        site.lab.site.run(["ip", "link", "del", "eth9"])
        site.apply(session(1, device(MODBUS, SNMP)), dev=("eth1",))
        program = site.pc(module_lab.pc, 1)
        wait_until(lambda: knock(module_lab.pc, PLC_ADDRESS, 502) == "open", 5.0, "the PLC")
    finally:
        if program is not None:
            program.kill9()

"""The PC on the machine's Ethernet, through the whole link: what is granted there, and nothing else."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from lab import CommandFailed, Lab, Process, knock, ping, wait_until
from lab.products import APPLIANCE, DEVICE, PLC_ADDRESS, USER, System
from lab.simulators import STATION_MAC
from netns.link_ground import (
    Poller,
    quick_system,
    session_of,
    traces,
    wait_for_session_end,
    wait_for_traces,
    wait_until_resumed,
)
from netns.segment import FRAMES, IDENTIFY, LIST_IDENTITY, NEIGHBOUR, PC_ADDRESS, mac_of, populate, run

pytestmark = [pytest.mark.netns, pytest.mark.timeout(300)]
STATION_ADDRESS, STRANGER = "192.168.50.77", "192.168.50.12"
BROADCAST = "192.168.50.255"
GRANTED = {PLC_ADDRESS, NEIGHBOUR, STATION_ADDRESS}
_WRITE_AND_READ = """
import sys
from pymodbus.client import ModbusTcpClient
client = ModbusTcpClient(sys.argv[1], timeout=10)
assert client.connect()
assert not client.write_register(10, 4242).isError()
print(client.read_holding_registers(10, count=1).registers[0])
client.close()
"""


@pytest.fixture(scope="module")
def ear(module_lab: Lab) -> Process:
    """Who hears what the SiteManager sends into the plant."""
    return populate(module_lab)


@pytest.fixture(scope="module")
def system(module_lab: Lab, ear: Process) -> System:
    """A PLC, a controller, a PROFINET station and a drive; a host in the plant that is no device of anybody."""
    found = quick_system(module_lab)
    module_lab.add_host()
    gm = found.gm
    gm.run("devices", "change", DEVICE, "--mac", mac_of(module_lab.plant, "br0").upper())
    for name, address, mac, service in (
        ("logix", NEIGHBOUR, mac_of(module_lab["plant-b"], "eth0"), "ethernet-ip"),
        ("station", STATION_ADDRESS, STATION_MAC, "profinet-dcp"),
        ("hmi", "192.168.50.99", "", "vnc"),
    ):
        gm.run("devices", "add", APPLIANCE, name, address, "--mac", mac)
        gm.run("services", "add", f"{APPLIANCE}/{name}", service)
    return found


@pytest.fixture(scope="module")
def before(system: System) -> dict[str, Any]:
    """Everything at both ends that a session could change, before there was one."""
    return both_ends(system)


@pytest.fixture(scope="module")
def session(system: System, before: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """A bridged session in which the PC has an address of the plant's network."""
    system.lm.run("connect", APPLIANCE, "--bridged", "--address", f"{PC_ADDRESS}/24")
    (found,) = system.lm.ask("status")["sessions"]
    yield found
    system.lm.run("disconnect", "--all", check=False)


def both_ends(system: System) -> dict[str, Any]:
    return {place.name: traces(place) for place in (system.lab.pc, system.lab.site)}


def wait_until_nothing_is_left(system: System, before: dict[str, Any]) -> None:
    wait_for_session_end(system, 60)
    for place in (system.lab.pc, system.lab.site):
        wait_for_traces(place, before[place.name], 60)
    assert system.lm.hosts.read_text() == "127.0.0.1\tlocalhost\n"


def news(ear: Process, seen: int) -> list[str]:
    """What came since, but for what the SiteManager says in its own name: it checks its devices all the time."""
    own = (" 192.168.50.1 > ", " fe80::", " fd00:50:", " :: > ff02::")
    return [line for line in ear.lines[seen:] if not any(words in line for words in own)]


def ways(lines: list[str]) -> set[tuple[str, str]]:
    """Source and target of each packet that was heard."""
    return {(words[2], words[4]) for words in map(str.split, lines)}


def test_bridged_session_is_refused_when_no_grant_says_so(system: System, before: dict[str, Any]) -> None:
    with pytest.raises(CommandFailed, match="no grant of yours allows bridged sessions"):
        system.lm.run("connect", APPLIANCE, "--bridged")
    system.gm.run("grants", "add", USER, "--appliance", APPLIANCE, "--bridged")
    wait_until_nothing_is_left(system, before)


def test_stations_are_discovered_and_no_route_is_set_when_the_pc_has_no_address_there(
    system: System, before: dict[str, Any]
) -> None:
    pc = system.lab.pc
    said = system.lm.run("connect", APPLIANCE, "--bridged").stdout
    assert "layer 2 alone" in said
    (found,) = system.lm.ask("status")["sessions"]
    assert run(pc, IDENTIFY, found["interface"], "30") == f"press-io {STATION_MAC}"
    assert traces(pc)["routes"] == before["pc"]["routes"]
    with pytest.raises(CommandFailed, match=r"\(bridged, up, gl0\) already: `lm disconnect"):
        system.lm.run("connect", APPLIANCE)
    system.lm.run("disconnect", "--all")
    wait_until_nothing_is_left(system, before)


def test_routes_lead_to_granted_devices_and_the_broadcast_address_alone(
    system: System, session: dict[str, Any], before: dict[str, Any]
) -> None:
    pc, gl = system.lab.pc, session["interface"]
    added = [route for route in traces(pc)["routes"] if route not in before["pc"]["routes"]]
    assert {(route.get("type", "unicast"), route["dst"], route["dev"], route["prefsrc"]) for route in added} == {
        *(("unicast", address, gl, PC_ADDRESS) for address in (PLC_ADDRESS, NEIGHBOUR, STATION_ADDRESS)),
        ("local", PC_ADDRESS, gl, PC_ADDRESS),
        ("broadcast", BROADCAST, gl, PC_ADDRESS),
    }
    assert [route for route in before["pc"]["routes"] if route not in traces(pc)["routes"]] == []
    shown = {device["name"]: (device["use"], device["why"]) for device in session["devices"]}
    assert shown["plc"] == (PLC_ADDRESS, "")
    assert shown["hmi"][0] == ""
    assert "does not know its MAC" in shown["hmi"][1]


def test_vendor_tools_discover_what_is_granted(system: System, session: dict[str, Any]) -> None:
    pc, gl = system.lab.pc, session["interface"]
    assert run(pc, IDENTIFY, gl, "30") == f"press-io {STATION_MAC}"
    for broadcast in (BROADCAST, "255.255.255.255"):
        assert run(pc, LIST_IDENTITY, gl, broadcast) == f"{NEIGHBOUR} Rockwell Automation"


def test_plc_is_read_at_its_own_address_as_by_a_neighbour(system: System, session: dict[str, Any]) -> None:
    pc, plant = system.lab.pc, system.lab.plant
    assert pc.run([sys.executable, "-W", "ignore", "-c", _WRITE_AND_READ, PLC_ADDRESS]).stdout == "4242\n"
    # The PLC knows the PC's own address and MAC, and finds it by ARP itself when it has forgotten it.
    plant.run(["ip", "neigh", "flush", "dev", "br0"])
    assert ping(pc, PLC_ADDRESS, timeout_s=10).received == 1
    assert mac_of(pc, session["interface"]) in plant.run(["ip", "neigh", "show", PC_ADDRESS, "dev", "br0"]).stdout


def test_nothing_that_is_not_granted_passes(system: System, session: dict[str, Any], ear: Process) -> None:
    lab, pc, gl = system.lab, system.lab.pc, session["interface"]
    stranger = lab["plant-c"].start_module("lab.echo", "--tcp", "502", "--udp", "67")
    stranger.wait_for_line("echo listens", 60)
    pc.run(["ip", "route", "add", STRANGER, "dev", gl, "scope", "link", "src", PC_ADDRESS])
    try:
        assert knock(pc, STRANGER, 502, timeout_s=0.5) != "open"
    finally:
        pc.run(["ip", "route", "del", STRANGER, "dev", gl])
    assert knock(pc, PLC_ADDRESS, 80, timeout_s=0.5) != "open"
    at_pc = pc.start_module("netns.link_listener", gl, name="pc-ear")
    at_pc.wait_for_line("listening", 60)
    seen = len(ear.lines)
    run(pc, FRAMES, gl, "odd")
    run(lab["plant-c"], FRAMES, "eth0", "strange")
    # Frames stay in order: what is answered now came after all of them.
    assert ping(pc, PLC_ADDRESS, timeout_s=10).received == 1
    ear.wait_for_line(f"icmp {PC_ADDRESS} > {PLC_ADDRESS} 8", 60, after=seen)
    at_pc.wait_for_line(f"icmp {PLC_ADDRESS} > {PC_ADDRESS} 0", 60)
    assert ways(news(ear, seen)) <= {(PC_ADDRESS, target) for target in GRANTED}
    assert {source for source, _ in ways(at_pc.lines[1:])} <= GRANTED


def test_same_frames_go_on_when_the_line_was_cut_and_came_back(system: System, session: dict[str, Any]) -> None:
    lab, pc, gl = system.lab, system.lab.pc, session["interface"]
    own_mac = mac_of(pc, gl)
    poller = Poller(pc, patience_s=280.0)
    lab.line("factory-site").cut()
    try:
        # Longer than any keepalive: every party knows that the line is dead, and the SiteManager took its TAP away.
        wait_until(lambda: not system.sm.ask("status")["sessions"], 60, "the SiteManager to end the session")
        wait_until(lambda: not system.gm.ask("sessions", "list"), 60, "the GateManager to end the session")
        found = session_of(system.lm)
        assert found is not None
        assert (found["state"], found["interface"]) == ("reconnecting", gl)
        answers = len(poller.answers)
    finally:
        lab.line("factory-site").mend()
    resumed = wait_until_resumed(system.lm, 90)
    assert (resumed["mode"], resumed["interface"], mac_of(pc, gl)) == ("bridged", gl, own_mac)
    poller.wait_for_answer(120)
    assert len(poller.answers) > answers
    poller.stop()
    assert "lost" not in poller.process.log, "the connection to the PLC did not outlive the break"
    assert run(pc, IDENTIFY, gl, "30") == f"press-io {STATION_MAC}"
    assert run(pc, LIST_IDENTITY, gl, BROADCAST) == f"{NEIGHBOUR} Rockwell Automation"


def test_nothing_is_left_at_either_end_when_the_session_is_over(
    system: System, session: dict[str, Any], before: dict[str, Any]
) -> None:
    assert both_ends(system) != before
    system.lm.run("disconnect", "--all")
    wait_until_nothing_is_left(system, before)
    system.lm.run("connect", APPLIANCE, "--bridged", "--address", PC_ADDRESS)
    assert ping(system.lab.pc, PLC_ADDRESS, timeout_s=10).received == 1
    os.kill(system.lm.agent_pid, signal.SIGKILL)
    wait_until_nothing_is_left_behind_a_killed_agent(system, before)


def wait_until_nothing_is_left_behind_a_killed_agent(system: System, before: dict[str, Any]) -> None:
    for place in (system.lab.pc, system.lab.site):
        wait_for_traces(place, before[place.name], 60)

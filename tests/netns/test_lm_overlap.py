"""Machines of one address at once, and a PC whose network is the plant's: ordinary Modbus clients reach each."""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from lab import Lab, Place, wait_until
from lab.products import PLC_ADDRESS, SiteManager, System
from lab.rights import has_every_user
from netns.resolved import Resolved

pytestmark = [pytest.mark.netns, pytest.mark.timeout(600)]

_CLIENT = (
    "import sys; from pymodbus.client import ModbusTcpClient\n"
    "client = ModbusTcpClient(sys.argv[1], timeout=5); assert client.connect(), 'no connection'\n"
    "if len(sys.argv) > 2: assert not client.write_register(10, int(sys.argv[2])).isError()\n"
    "print(client.read_holding_registers(10, count=1).registers[0]); client.close()\n"
)
PRESS, SAW, OWN = 1111, 2222, 3333
"""What stands in register 10 of each PLC."""


def routes(place: Place) -> list[dict[str, Any]]:
    """Every IPv4 route of every table."""
    found: list[dict[str, Any]] = json.loads(place.run(["ip", "-json", "-4", "route", "show", "table", "all"]).stdout)
    return found


class Twins:
    """Two sites with one subnet and one PLC address each, and a PC that may use both."""

    def __init__(self, lab: Lab) -> None:
        self.lab = lab
        site2, plant2 = lab.add_site()
        self.before = routes(lab.pc)
        self.system = System(lab)
        self.system.__enter__()
        gm, self.lm = self.system.gm, self.system.lm
        plc2 = plant2.start_module("lab.plc")
        plc2.wait_for_line("PLC listens")
        sm2 = SiteManager(lab, site2)
        sm2.enrol(gm.claim(name="saw"))
        sm2.start()
        sm2.wait_until_connected()
        self.system.add_device("acme/line3/saw/plc", PLC_ADDRESS, "modbus", "ping")
        gm.run("grants", "add", "ann", "--appliance", "acme/line3/saw")
        for plant, value in ((lab.plant, PRESS), (plant2, SAW)):
            assert self.register(PLC_ADDRESS, value, place=plant) == value

    def register(self, address: str, *value: int, place: Place | None = None) -> int:
        """What an ordinary Modbus client reads; it looks names up as every program does."""
        argv = [sys.executable, "-c", _CLIENT, address, *map(str, value)]
        done = (place or self.lab.pc).run(self.lm.with_names(argv) if place is None else argv)
        return int(done.stdout)

    def devices(self) -> dict[str, dict[str, Any]]:
        """The one device of each connected appliance."""
        return {session["name"]: session["devices"][0] for session in self.lm.ask("status")["sessions"]}

    def wait_clean(self) -> None:
        """Wait until routes and names are exactly as before."""
        wait_until(lambda: routes(self.lab.pc) == self.before, 5, "the routes to be as before")
        assert self.lm.hosts.read_text() == "127.0.0.1\tlocalhost\n"


@pytest.fixture(scope="module")
def twins(module_lab: Lab) -> Twins:
    return Twins(module_lab)


@pytest.fixture
def pc(twins: Twins) -> Iterator[Twins]:
    yield twins
    if twins.lm.service is None or twins.lm.service.returncode is not None:
        twins.lm.start_service()
    if twins.lm.run("status", check=False).returncode:
        twins.lm.login()
    twins.lm.run("disconnect", "--all")
    twins.wait_clean()


def test_two_plcs_of_one_address_answer_at_once(pc: Twins) -> None:
    text = pc.lm.run("connect", "press").stdout
    assert f"{PLC_ADDRESS}  " in text
    assert "plc.press.line3.acme.gatelink" in text
    text = pc.lm.run("connect", "saw").stdout
    assert f"not {PLC_ADDRESS}: in use for press" in text
    press, saw = pc.devices()["press"], pc.devices()["saw"]
    assert press["use"] == PLC_ADDRESS
    assert saw["use"].startswith("100.")
    added = [route for route in routes(pc.lab.pc) if route not in pc.before]
    assert {route["dst"] for route in added if "gateway" in route} == {PLC_ADDRESS, saw["use"]}
    clients = [
        pc.lab.pc.start_module("lab.modbus_client", "--address", address, "--polls", "5", "--period", "0.05")
        for address in (press["use"], saw["use"])
    ]
    assert [client.wait() for client in clients] == [0, 0]
    for _ in range(3):
        assert pc.register(press["use"]) == PRESS
        assert pc.register(saw["use"]) == SAW
    assert pc.register(press["hostname"]) == PRESS
    assert pc.register(saw["hostname"]) == SAW
    pc.lm.run("disconnect", "press")
    assert pc.register(saw["hostname"]) == SAW
    assert "press" not in pc.lm.hosts.read_text()
    pc.lm.run("disconnect", "saw")
    pc.wait_clean()


def test_own_network_goes_on_when_it_is_the_plants(pc: Twins) -> None:
    neighbour = pc.lab.add_pc()
    neighbour.run(["ip", "address", "add", f"{PLC_ADDRESS}/24", "dev", "eth0"])
    neighbour.start_module("lab.plc").wait_for_line("PLC listens")
    pc.lab.pc.run(["ip", "address", "add", "192.168.50.77/24", "dev", "eth0"])
    before = routes(pc.lab.pc)
    try:
        assert pc.register(PLC_ADDRESS, OWN) == OWN
        text = pc.lm.run("connect", "press").stdout
        assert f"not {PLC_ADDRESS}: in a network of this PC (192.168.50.0/24 on eth0)" in text
        device = pc.devices()["press"]
        assert pc.register(device["use"]) == PRESS
        assert pc.register(device["hostname"]) == PRESS
        assert pc.register(PLC_ADDRESS) == OWN
        pc.lm.run("disconnect", "press")
        assert routes(pc.lab.pc) == before
        done = pc.lm.run("connect", "press", "--real")
        assert "is hidden meanwhile" in done.stderr
        assert pc.register(PLC_ADDRESS) == PRESS
        pc.lm.run("disconnect", "press")
        assert pc.register(PLC_ADDRESS) == OWN
    finally:
        pc.lab.pc.run(["ip", "address", "del", "192.168.50.77/24", "dev", "eth0"])


@pytest.mark.parametrize("victim", ["agent", "service", "both"])
def test_routes_and_names_are_as_before_when_killed_with_two_sessions(pc: Twins, victim: str) -> None:
    pc.lm.run("connect", "press")
    pc.lm.run("connect", "saw")
    agent = pc.lm.agent_pid
    assert pc.lm.hosts.read_text().count(".acme.gatelink\n") == 2
    assert pc.lm.service is not None
    if victim != "agent":
        pc.lm.service.kill9()
    if victim != "service":
        os.kill(agent, signal.SIGKILL)
    wait_until(lambda: routes(pc.lab.pc) == pc.before, 5, "the routes to be as before")
    if victim != "agent":  # the names go with the service's next start, which the service manager sees to
        pc.lm.start_service()
    wait_until(lambda: "gatelink" not in pc.lm.hosts.read_text(), 5, "the names to go")
    pc.wait_clean()


def test_tree_tells_which_address_and_name_to_type(pc: Twins) -> None:
    virtual = {entry["name"]: entry["devices"][0]["use"] for entry in pc.lm.ask("list")}
    assert virtual == {"press": PLC_ADDRESS, "saw": PLC_ADDRESS}
    pc.lm.run("connect", "saw")
    listed = {entry["name"]: entry["devices"][0] for entry in pc.lm.ask("list")}
    assert listed["saw"]["use"] == PLC_ADDRESS
    assert listed["press"]["use"].startswith("100.")
    assert listed["press"]["why"] == f"{PLC_ADDRESS}: in use for saw"
    assert f"{listed['press']['use']:15}  plc  plc.press.line3.acme.gatelink" in pc.lm.run("list").stdout


def test_names_are_asked_of_the_agent_alone_where_systemd_resolved_is(pc: Twins) -> None:
    if not has_every_user():
        pytest.skip("systemd-resolved has a user of its own, and an ordinary user's lab has root alone")
    lm, place = pc.lm, pc.lab.pc
    assert lm.service is not None
    lm.service.terminate()
    resolved = Resolved(place, pc.lab.run_directory / "resolved")
    try:
        words = resolved.argv(lm.argv("service", "--socket", str(lm.socket), "--allow-uid", str(lm.home.stat().st_uid)))
        lm.service = place.start(words, name="lm-service", env={"PYTHONUNBUFFERED": "1"})
        lm.service.wait_for_line("listening on", 60)
        lm.run("connect", "press")
        lm.run("connect", "saw")
        devices = pc.devices()
        for name, value in (("press", PRESS), ("saw", SAW)):
            argv = [sys.executable, "-c", _CLIENT, devices[name]["hostname"]]
            assert int(resolved.run(*argv)) == value
        for interface in ("gl0", "gl1"):
            assert resolved.run("resolvectl", "dns", interface).endswith(f"({interface}): 127.0.0.1:{_port(pc)}")
            assert resolved.run("resolvectl", "domain", interface).endswith(f"({interface}): ~gatelink")
            assert resolved.run("resolvectl", "default-route", interface).endswith(f"({interface}): no")
        lm.run("disconnect", "press")
        assert resolved.run("getent", "ahostsv4", devices["press"]["hostname"], check=False) == ""
        assert resolved.run("getent", "ahostsv4", devices["saw"]["hostname"]).startswith(devices["saw"]["use"])
        lm.service.kill9()  # what it was told belongs to the adapter, and goes with it
        wait_until(lambda: "~gatelink" not in resolved.run("resolvectl", "domain"), 30, "the names to go")
    finally:
        lm.service.kill9()
        resolved.end()
        wait_until(lambda: not lm.ask("status")["sessions"], 30, "the sessions to end")


def _port(pc: Twins) -> int:
    """Where the agent answers for names."""
    rows = pc.lab.pc.run(["ss", "-Hlunp"]).stdout.splitlines()
    return next(int(row.split()[3].rpartition(":")[2]) for row in rows if f"pid={pc.lm.agent_pid}," in row)

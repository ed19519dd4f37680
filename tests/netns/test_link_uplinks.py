"""A site with two ways out: when one is pulled, link and session come back by the other."""

from __future__ import annotations

import json
import sqlite3

import pytest

from lab import Lab, wait_until
from lab.products import PLC_ADDRESS, System
from netns.link_ground import Poller, quick_system, wait_until_resumed
from netns.link_use import session

pytestmark = [pytest.mark.netns, pytest.mark.timeout(600)]
UPLINKS = (
    '[{name = "office", interface = "eth0", address = "10.20.1.2/24", gateway = "10.20.1.1"},'
    ' {name = "reserve", interface = "eth2", address = "198.51.100.130/30", gateway = "198.51.100.129"}]'
)


@pytest.fixture(scope="module")
def system(module_lab: Lab) -> System:
    lab = module_lab
    peer = f"{lab.prefix}-internet"
    lab.site.run(["ip", "link", "add", "eth2", "type", "veth", "peer", "name", "to-site2", "netns", peer])
    lab.internet.run(["ip", "address", "add", "198.51.100.129/30", "dev", "to-site2"])
    lab.internet.run(["ip", "link", "set", "to-site2", "up"])
    lab.site.run(["ip", "link", "set", "eth2", "up"])
    found = quick_system(lab)
    found.sm.kill9()
    found.sm.run("config", "set", "uplinks", UPLINKS)
    found.sm.start()
    found.sm.wait_until_connected()
    return found


def rules(system: System) -> list[int]:
    """The priorities of our routing rules at the site."""
    listed = json.loads(system.lab.site.run(["ip", "-j", "rule"]).stdout)
    return [rule["priority"] for rule in listed if 6699 <= rule["priority"] <= 6799]


def source_of_link(system: System) -> str:
    """The address from which the SiteManager is connected."""
    listed = system.lab.site.run(["ss", "-Htn", "state", "established", "dst", "203.0.113.10"]).stdout
    return listed.split()[2].rpartition(":")[0] if listed.split() else ""


def test_session_comes_back_by_the_reserve_when_the_best_uplink_is_pulled(system: System) -> None:
    lab, process = system.lab, system.sm.process
    assert process is not None
    assert source_of_link(system) == "10.20.1.2"
    system_routes = lab.site.run(["ip", "route", "show", "default"]).stdout
    with session(system.lm):
        poller = Poller(lab.pc, address=PLC_ADDRESS, patience_s=40)
        seen = len(process.lines)
        lab.line("factory-site").unplug()
        process.wait_for_line("uplink in use: reserve", 20, after=seen)
        system.sm.wait_until_connected(30, after=seen)
        wait_until_resumed(system.lm)
        poller.wait_for_answer(30)
        assert source_of_link(system) == "198.51.100.130"
        poller.stop()
    lab.line("factory-site").plug()
    assert lab.site.run(["ip", "route", "show", "default"]).stdout in (system_routes, "")


def test_gatemanager_is_told_of_the_uplinks(system: System) -> None:
    wait_until(lambda: "office" in status(system), 20, "the report")
    assert '"reserve"' in status(system)


def status(system: System) -> str:
    """What the GateManager keeps of the SiteManager's report."""
    with sqlite3.connect(system.gm.data / "gm.sqlite3") as connection:
        row = connection.execute("SELECT status FROM appliances").fetchone()
    connection.close()
    return str(row[0])


def test_overlapping_uplink_is_refused_and_nothing_of_ours_is_left_at_the_end(system: System) -> None:
    lab = system.lab
    lab.site.run(["ip", "address", "flush", "dev", "eth2"])
    overlap = UPLINKS.replace("198.51.100.130/30", "192.168.50.77/24").replace("198.51.100.129", "192.168.50.254")
    assert rules(system)
    system.sm.kill9()
    system.sm.run("config", "set", "uplinks", overlap)
    system.sm.start()
    system.sm.wait_until_connected(30)
    wait_until(lambda: "machine side's network as well" in status(system), 20, "the refusal to be told")
    process = system.sm.process
    assert process is not None
    process.terminate()
    process.wait(20)
    assert rules(system) == []

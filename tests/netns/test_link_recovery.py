"""Whatever is killed or cut, at whatever stage of a session: the link recovers by itself and nothing is left behind."""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from lab import Lab, Process, knock, wait_until
from lab.products import APPLIANCE, PLC_ADDRESS, SiteManager, System
from netns.link_ground import (
    Poller,
    ended,
    now,
    quick_system,
    session_of,
    traces,
    wait_for_session_end,
    wait_for_traces,
    wait_until_resumed,
)

pytestmark = [pytest.mark.netns, pytest.mark.timeout(600)]
VICTIMS = ("sm", "gm", "agent", "service")


@pytest.fixture(scope="module")
def virgin(module_lab: Lab) -> dict[str, Any]:
    """The site before an SM ever ran there."""
    return traces(module_lab.site)


@pytest.fixture(scope="module")
def system(module_lab: Lab, virgin: dict[str, Any]) -> System:
    return quick_system(module_lab)


@pytest.fixture(scope="module")
def calm(system: System) -> dict[str, dict[str, Any]]:
    """PC and site while everybody is connected and nobody has a session."""
    return {"pc": traces(system.lm.place), "site": traces(system.sm.place)}


@pytest.fixture(autouse=True)
def _calm_again(system: System, calm: dict[str, dict[str, Any]]) -> Iterator[None]:
    """Each test ends as the next one begins."""
    yield
    for place in (system.lm.place, system.sm.place):
        for process in place.processes:
            if process.name.startswith("poller"):
                process.kill9()
    system.lab.line("site-plant").clear()


def kill(system: System, victim: str) -> None:
    """A `kill -9` of one party's program."""
    match victim:
        case "sm":
            system.sm.kill9()
        case "gm":
            system.gm.kill9()
        case "agent":
            os.kill(system.lm.agent_pid, signal.SIGKILL)
        case "service":
            assert system.lm.service is not None
            system.lm.service.kill9()


def start(system: System, victim: str) -> None:
    """What a service manager (SM, GM, service) or the user (agent) does then."""
    match victim:
        case "sm":
            system.sm.start()
            system.sm.wait_until_connected(30)
        case "gm":
            system.gm.start()
            wait_until(system.gm.is_online, 30, "the SM to be back")
            wait_until(lambda: system.lm.ask("status")["connected"], 30, "the LM to be back")
        case "agent":
            system.lm.login()
        case "service":
            system.lm.start_service()


def connected(system: System) -> None:
    """A session without traffic."""
    system.lm.run("connect", APPLIANCE)


def held(system: System, holder: str, *command: str, until: Callable[[], object]) -> Process:
    """Begin a command that cannot end, because the `holder` stands still; return when it has come as far as `until`."""
    halt(system, holder)
    begun = system.lm.begin(*command)
    wait_until(until, 20, f"`lm {' '.join(command)}` to come to where it is held")
    return begun


def halt(system: System, holder: str, number: signal.Signals = signal.SIGSTOP) -> None:
    """Let a party stand still, or go on."""
    process = {"sm": system.sm.process, "gm": system.gm.process, "service": system.lm.service}[holder]
    assert process is not None
    process.signal(number)


def busy_poller(system: System) -> Poller:
    """Somebody whose answer is always on its way out of a slow PLC, so that the PLC sends it again and again meanwhile.

    The PLC knows the SM's address alone: would the SM forget the connection, it would itself answer, with a reset.
    """
    system.lab.line("site-plant").change(delay_ms=50)
    return Poller(system.lm.place, patience_s=90, period_s=0)


def is_ending(system: System) -> bool:
    """Whether the session is over for the agent, although not everybody knows it."""
    found = session_of(system.lm)
    return found is None or found["state"] == "ended"


def assert_all_is_well(system: System, calm: dict[str, dict[str, Any]]) -> None:
    """A session works, its end leaves nothing, and the GM knows who is there."""
    if session_of(system.lm) is None:
        connected(system)
    assert knock(system.lm.place, PLC_ADDRESS, 502, timeout_s=15) == "open"
    system.lm.run("disconnect", "--all")
    wait_for_traces(system.lm.place, calm["pc"])
    wait_for_session_end(system)
    wait_for_traces(system.sm.place, calm["site"])
    assert [row["online"] for row in system.gm.ask("appliances", "list")] == [True]


def assert_nothing_is_left_on_the_pc(system: System, calm: dict[str, dict[str, Any]]) -> None:
    wait_for_traces(system.lm.place, calm["pc"])


@pytest.mark.parametrize("victim", VICTIMS)
def test_next_session_works_when_one_is_killed_while_connecting(
    system: System, calm: dict[str, dict[str, Any]], victim: str
) -> None:
    assert system.gm.process is not None
    seen = len(system.gm.process.lines)
    command = held(system, "sm", "connect", APPLIANCE, until=lambda: "gl0" in traces(system.lm.place)["links"])
    system.gm.process.wait_for_line("opened: ann", after=seen)
    kill(system, victim)
    if victim != "sm":
        halt(system, "sm", signal.SIGCONT)
    if victim == "sm":
        wait_until(lambda: not system.gm.is_online(), 10, "the GM to know that the SM is gone")
        start(system, victim)
    status, said = ended(command)
    assert status != 0
    assert said.startswith("lm: ")
    assert len(said.splitlines()) == 1
    assert_nothing_is_left_on_the_pc(system, calm)
    if victim != "sm":
        start(system, victim)
    assert_all_is_well(system, calm)


@pytest.mark.parametrize("victim", ["sm", "gm"])
@pytest.mark.parametrize("stage", ["idle", "polling"])
def test_session_is_resumed_when_one_is_killed(
    system: System, calm: dict[str, dict[str, Any]], victim: str, stage: str
) -> None:
    connected(system)
    before = session_of(system.lm)
    poller = busy_poller(system) if stage == "polling" else None
    kill(system, victim)
    if victim == "sm":
        wait_until(lambda: not system.gm.is_online(), 10, "the GM to know that the SM is gone")
    start(system, victim)
    after = wait_until_resumed(system.lm)
    assert before is not None
    assert after["interface"] == before["interface"]
    if poller is not None:
        poller.wait_for_answer(60)
    assert_all_is_well(system, calm)


@pytest.mark.parametrize("victim", ["agent", "service"])
@pytest.mark.parametrize("stage", ["idle", "polling"])
def test_nothing_is_left_when_a_part_of_the_lm_is_killed(
    system: System, calm: dict[str, dict[str, Any]], victim: str, stage: str
) -> None:
    connected(system)
    poller = Poller(system.lm.place) if stage == "polling" else None
    kill(system, victim)
    assert_nothing_is_left_on_the_pc(system, calm)
    wait_for_session_end(system)
    wait_for_traces(system.sm.place, calm["site"])
    if poller is not None:
        poller.wait_until_lost()
    start(system, victim)
    assert_all_is_well(system, calm)


@pytest.mark.parametrize("victim", VICTIMS)
def test_nothing_is_left_when_one_is_killed_while_a_session_ends(
    system: System, calm: dict[str, dict[str, Any]], victim: str
) -> None:
    connected(system)
    holder = {"sm": "sm", "gm": "gm", "agent": "gm", "service": "service"}[victim]
    command = held(system, holder, "disconnect", "--all", until=lambda: is_ending(system))
    kill(system, victim)
    if holder != victim:
        halt(system, holder, signal.SIGCONT)
    ended(command)
    assert_nothing_is_left_on_the_pc(system, calm)
    start(system, victim)
    assert_all_is_well(system, calm)


@pytest.mark.parametrize("line", ["factory-site", "office-internet"])
def test_open_connection_goes_on_when_a_line_was_cut_without_a_word(
    system: System, calm: dict[str, dict[str, Any]], module_lab: Lab, line: str
) -> None:
    connected(system)
    poller = busy_poller(system)
    module_lab.line(line).cut()
    try:
        # Longer than any keepalive: every party knows that its line is dead.
        if line == "factory-site":
            wait_until(lambda: not system.gm.is_online(), 30, "the GM to know that the SM is gone")
            wait_until(lambda: not system.sm.ask("status")["sessions"], 30, "the SM to end the session")
        wait_until(lambda: not system.gm.ask("sessions", "list"), 30, "the GM to end the session")
        found = session_of(system.lm)
        assert found is not None
        assert found["state"] == "reconnecting"
    finally:
        module_lab.line(line).mend()
    wait_until_resumed(system.lm, 60)
    poller.wait_for_answer(90)
    assert_all_is_well(system, calm)


def test_open_connection_goes_on_when_the_address_of_the_sm_changes(
    system: System, calm: dict[str, dict[str, Any]], module_lab: Lab
) -> None:
    connected(system)
    poller = busy_poller(system)
    module_lab.site.change_address("10.20.1.77/24")
    try:
        wait_until_resumed(system.lm, 60)
        poller.wait_for_answer(90)
        wait_until(system.gm.is_online, 30, "the SM to be back")
    finally:
        assert system.sm.process is not None
        seen = len(system.sm.process.lines)
        module_lab.site.change_address("10.20.1.2/24")
    system.sm.wait_until_connected(60, after=seen)
    poller.wait_for_answer(90)
    assert_all_is_well(system, calm)


def test_open_connection_goes_on_when_the_gm_was_away_for_a_while(
    system: System, calm: dict[str, dict[str, Any]]
) -> None:
    connected(system)
    poller = busy_poller(system)
    assert system.sm.process is not None
    seen = len(system.sm.process.lines)
    kill(system, "gm")
    for _ in range(3):
        system.sm.process.wait_for_line("no connection: no way", 30, after=seen)
        seen = len(system.sm.process.lines)
    start(system, "gm")
    wait_until_resumed(system.lm, 60)
    poller.wait_for_answer(90)
    assert_all_is_well(system, calm)


def test_new_login_takes_over_at_once_when_the_old_line_is_dead(
    system: System, calm: dict[str, dict[str, Any]], module_lab: Lab
) -> None:
    """The same unit comes by another way, while the GM does not know yet that the old one is dead."""
    kill(system, "gm")
    system.gm.configure("keepalive_s", 25)
    start(system, "gm")
    site2, _ = module_lab.add_site("192.168.60.0/24")
    moved = SiteManager(module_lab, site2)
    shutil.copytree(system.sm.state, moved.state, ignore=shutil.ignore_patterns("run", "*.lock", "*.sock"))
    module_lab.line("factory-site").cut()
    begin = now()
    try:
        moved.start()
        moved.wait_until_connected(20)
        (row,) = system.gm.ask("appliances", "list")
        assert row["online"]
        assert row["address"] == "192.0.2.6"
        assert now() - begin < 25, "the keepalive was over: this proves nothing"
    finally:
        moved.kill9()
        module_lab.line("factory-site").mend()
        kill(system, "gm")
        system.gm.configure("keepalive_s", 2)
        start(system, "gm")
    assert_all_is_well(system, calm)


def test_site_is_as_before_the_sm_came_when_it_is_stopped_or_cleaned_up(
    system: System, virgin: dict[str, Any], module_lab: Lab
) -> None:
    connected(system)
    kill(system, "sm")
    assert traces(module_lab.site) != virgin, "nothing was left to clean up: this proves nothing"
    system.sm.run("cleanup")
    assert traces(module_lab.site) == virgin
    start(system, "sm")
    wait_until_resumed(system.lm)
    assert system.sm.process is not None
    assert system.sm.process.terminate() == 0
    assert traces(module_lab.site) == virgin
    system.lm.run("disconnect", "--all")

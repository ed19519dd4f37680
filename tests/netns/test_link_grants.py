"""Rights that end while somebody uses them, rights that are not there, and wrong input wherever a person types."""

from __future__ import annotations

import hashlib
import json
import re
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from lab import Completed, Lab, Place, knock, wait_until
from lab.products import APPLIANCE, DEVICE, DOMAIN, PASSWORD, PLC_ADDRESS, USER, System
from netns.link_ground import (
    Poller,
    end_within,
    now,
    quick_system,
    session_of,
    traces,
    wait_for_session_end,
    wait_for_traces,
)

pytestmark = pytest.mark.netns
PROMISED_S = 2.0
"""From the return of the administrator's command to the last packet that passes."""
SECOND_PORT = 5020
NEIGHBOUR = "192.168.50.11"


@pytest.fixture(scope="module")
def system(module_lab: Lab) -> System:
    found = quick_system(module_lab)
    second = module_lab.plant.start_module("lab.plc", "--port", str(SECOND_PORT), name="plc2")
    second.wait_for_line("PLC listens")
    neighbour = module_lab.add_host()
    other = neighbour.start_module("lab.plc", "--address", NEIGHBOUR, name="plc3")
    other.wait_for_line("PLC listens")
    return found


@pytest.fixture(scope="module")
def calm(system: System) -> dict[str, Any]:
    return traces(system.lm.place)


@pytest.fixture
def polled(system: System, calm: dict[str, Any]) -> Iterator[Poller]:
    """A session over which somebody polls the PLC; afterwards everything is as it was."""
    system.lm.run("connect", APPLIANCE)
    poller = Poller(system.lm.place)
    yield poller
    poller.stop()
    system.lm.run("disconnect", "--all", check=False)
    ensure_rights(system)
    wait_for_traces(system.lm.place, calm)
    wait_for_session_end(system)


def ensure_rights(system: System) -> None:
    """The user, the device and a grant are there, the SM is open, the user is logged in."""
    gm = system.gm
    system.sm.run("unlock")
    if not gm.ask("devices", "list", APPLIANCE):
        system.add_device(DEVICE, PLC_ADDRESS, "modbus", "ping")
    if not valid_grants(system):
        gm.run("grants", "add", USER, "--appliance", APPLIANCE)
    if system.lm.run("status", check=False).returncode:
        gm.run("users", "enable", USER)
        system.lm.login()


def valid_grants(system: System) -> list[str]:
    return [row["id"] for row in system.gm.ask("grants", "list") if row["state"] == "valid" and row["user"] == USER]


def session_id(system: System) -> str:
    found = session_of(system.lm)
    assert found is not None
    return str(found["session_id"])


def end_grant(system: System) -> None:
    for grant in valid_grants(system):
        system.gm.run("grants", "end", grant)


def disable_user(system: System) -> None:
    system.gm.run("users", "disable", USER)


def remove_device(system: System) -> None:
    system.gm.run("devices", "remove", DEVICE)


def end_session(system: System) -> None:
    system.gm.run("sessions", "end", session_id(system))


def lock(system: System) -> None:
    system.sm.run("lock")


@pytest.mark.parametrize(
    ("end", "told"),
    [
        (end_grant, "what allowed this session has ended"),
        (disable_user, "the user was disabled"),
        (remove_device, "what allowed this session has ended"),
        (end_session, "an administrator ended the session"),
        (lock, "locked at the machine"),
    ],
)
def test_session_ends_within_two_seconds_when_its_right_ends(
    system: System, calm: dict[str, Any], polled: Poller, end: Callable[[System], None], told: str
) -> None:
    assert system.sm.process is not None
    session = session_id(system)
    seen = len(system.sm.process.lines)
    end(system)
    took_s = end_within(polled, now())
    assert took_s < PROMISED_S
    wait_for_traces(system.lm.place, calm)
    wait_for_session_end(system)
    line = system.sm.process.wait_for_line(rf"session {session} ended: .*", after=seen)
    assert told in line[0]
    wait_until(lambda: told in system.lm.log, 5, "the LM to say why")
    (row,) = [row for row in system.gm.ask("sessions", "history") if row["id"] == session]
    assert told in row["why_ended"]


def test_session_ends_in_time_when_its_grant_has_an_end(system: System, calm: dict[str, Any], polled: Poller) -> None:
    system.gm.run("grants", "add", USER, "--device", DEVICE, "--until", "+15s")
    until = max(row["valid_until_at"] or 0 for row in system.gm.ask("grants", "list"))
    end_grants_without_end(system)
    polled.wait_for_answer()
    polled.wait_until_lost(20)
    last = time.time() - (now() - max(polled.answers))
    assert -1 < last - until < PROMISED_S
    wait_for_traces(system.lm.place, calm)


def end_grants_without_end(system: System) -> None:
    for row in system.gm.ask("grants", "list"):
        if row["state"] == "valid" and row["valid_until_at"] is None and row["user"] == USER:
            system.gm.run("grants", "end", row["id"])


def test_session_narrows_and_widens_when_services_change(system: System, polled: Poller) -> None:
    session = session_id(system)
    assert knock(system.lm.place, PLC_ADDRESS, SECOND_PORT, 1) != "open"
    system.gm.run("services", "add", DEVICE, "second", "--tcp", str(SECOND_PORT))
    wait_until(lambda: knock(system.lm.place, PLC_ADDRESS, SECOND_PORT, 1) == "open", 5, "the added service")
    second = Poller(system.lm.place, port=SECOND_PORT)
    system.gm.run("services", "remove", DEVICE, "second")
    assert end_within(second, now()) < PROMISED_S
    assert knock(system.lm.place, PLC_ADDRESS, SECOND_PORT, 1) != "open"
    polled.wait_for_answer()
    found = session_of(system.lm)
    assert found is not None
    assert (found["session_id"], found["reconnects"]) == (session, 0)


def test_routes_follow_when_devices_come_and_go(system: System, polled: Poller) -> None:
    system.add_device(f"{APPLIANCE}/neighbour", NEIGHBOUR, "modbus")
    wait_until(lambda: knock(system.lm.place, NEIGHBOUR, 502, 1) == "open", 5, "the added device")
    second = Poller(system.lm.place, address=NEIGHBOUR)
    system.gm.run("devices", "remove", f"{APPLIANCE}/neighbour")
    assert end_within(second, now()) < PROMISED_S
    assert NEIGHBOUR not in system.lm.place.run(["ip", "route"]).stdout
    polled.wait_for_answer()


def test_neighbour_stays_closed_when_the_grant_is_for_one_device(system: System, polled: Poller) -> None:
    system.gm.run("grants", "add", USER, "--device", DEVICE, "--service", "modbus")
    end_grants_of_appliance(system)
    system.add_device(f"{APPLIANCE}/neighbour", NEIGHBOUR, "modbus")
    try:
        place = system.lm.place
        place.run(["ip", "route", "replace", NEIGHBOUR, "dev", "gl0", "via", gateway_of(system)])
        polled.wait_for_answer()
        assert knock(system.lab.site, NEIGHBOUR, 502, 3) == "open"
        assert knock(place, NEIGHBOUR, 502, 0.5) != "open"
        listed = system.lm.ask("list")
        assert [device["name"] for device in listed[0]["devices"]] == ["plc"]
        assert [service["name"] for service in listed[0]["devices"][0]["services"]] == ["modbus"]
        assert system.lm.run("connect", f"{APPLIANCE}/neighbour", check=False).returncode == 2
    finally:
        system.gm.run("devices", "remove", f"{APPLIANCE}/neighbour")


def end_grants_of_appliance(system: System) -> None:
    for row in system.gm.ask("grants", "list"):
        if row["state"] == "valid" and row["target"] == f"appliance {APPLIANCE}":
            system.gm.run("grants", "end", row["id"])


def gateway_of(system: System) -> str:
    found = re.search(rf"{PLC_ADDRESS} via (\S+)", system.lm.place.run(["ip", "route"]).stdout)
    assert found is not None
    return found[1]


def test_list_is_empty_and_nothing_can_be_connected_when_there_is_no_grant(system: System) -> None:
    ensure_rights(system)
    end_grant(system)
    assert system.lm.ask("list") == []
    answers = [
        system.lm.run("connect", target, check=False) for target in (APPLIANCE, DEVICE, f"{DOMAIN}/nowhere", "nowhere")
    ]
    assert {answer.returncode for answer in answers} == {2}
    told = {re.sub(r"'[^']*'", "X", answer.stderr) for answer in answers}
    assert len(told) == 1, told
    for when in (("--from", "+1h"), ("--from", "2020-01-01", "--until", "+1h"), ("--from", "+1h", "--until", "+2h")):
        system.gm.run("grants", "add", USER, "--device", DEVICE, *when)
        reachable = when[1].startswith("2020")
        wait_until(lambda wanted=reachable: bool(system.lm.ask("list")) == wanted, 5, "the list")  # type: ignore[misc]
        (grant, *_) = [row["id"] for row in system.gm.ask("grants", "list") if row["state"] in ("valid", "coming")]
        system.gm.run("grants", "end", grant)


def test_nobody_gets_in_when_the_sm_is_locked(system: System, calm: dict[str, Any]) -> None:
    ensure_rights(system)
    system.sm.run("lock")
    answer = system.lm.run("connect", APPLIANCE, check=False)
    assert answer.returncode == 1
    assert answer.stderr.startswith("lm: ")
    assert "locked at the machine" in answer.stderr
    wait_for_traces(system.lm.place, calm)
    system.sm.run("unlock")
    system.lm.run("connect", APPLIANCE)
    system.lm.run("disconnect", "--all")


# wrong input

LONG = "x" * 5000
_EVERY = """
import contextlib, importlib, io, json, sys, traceback
module, name = sys.argv[1:]
main = getattr(importlib.import_module(module), name)
answers = []
for words in json.load(sys.stdin):
    out, err = io.TextIOWrapper(io.BytesIO()), io.StringIO()
    sys.stdin = io.TextIOWrapper(io.BytesIO(b"never mind"))
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try: status = main(words)
        except SystemExit as error: status = error.code
        except BaseException: status, _ = 99, traceback.print_exc()
    out.flush()
    answers.append((status or 0, out.buffer.getvalue().decode(), err.getvalue()))
print(json.dumps(answers))
"""
WRONG_GM = [
    ("frobnicate",),
    ("appliances", "list", "--jsn"),
    ("domains", "add", ""),
    ("domains", "add", "acme"),
    ("domains", "add", "a//b"),
    ("domains", "add", "nobody/here"),
    ("domains", "add", "../etc"),
    ("domains", "add", "a b\nc"),
    ("domains", "add", LONG),
    ("domains", "remove", "acme"),
    ("domains", "remove", "nowhere"),
    ("users", "add", "ann", "--domain", "acme"),
    ("users", "add", "", "--domain", "acme"),
    ("users", "add", "new", "--domain", "nowhere"),
    ("users", "add", "new"),
    ("users", "add", "a\tb", "--domain", "acme"),
    ("users", "disable", "nobody"),
    ("users", "remove", "nobody"),
    ("users", "export-p12", "ann", "/nowhere/at/all.p12", "--password", PASSWORD),
    ("users", "export-p12", "ann", "/tmp/never.p12", "--password", "short"),
    ("claims", "create", "--domain", "nowhere", "--name", "x"),
    ("claims", "create", "--domain", DOMAIN, "--name", "press"),
    ("claims", "create", "--domain", DOMAIN, "--name", ""),
    ("claims", "create", "--domain", DOMAIN, "--name", "a/b"),
    ("claims", "create", "--domain", DOMAIN, "--name", "new", "--days", "-1"),
    ("claims", "create", "--domain", DOMAIN, "--name", "new", "--days", "nan"),
    ("claims", "create", "--domain", DOMAIN, "--name", "new", "--days", "soon"),
    ("claims", "revoke", "nonsense"),
    ("invitations", "create", "nobody"),
    ("invitations", "create", "ann", "--days", "1e99"),
    ("invitations", "revoke", "nonsense"),
    ("devices", "add", APPLIANCE, "new", "192.168.50.300"),
    ("devices", "add", APPLIANCE, "new", "plc.example.com"),
    ("devices", "add", APPLIANCE, "new", "127.0.0.1"),
    ("devices", "add", APPLIANCE, "new", "224.0.0.1"),
    ("devices", "add", APPLIANCE, "new", "0.0.0.0"),
    ("devices", "add", APPLIANCE, "new", "fd00::1"),
    ("devices", "add", APPLIANCE, "new", "192.168.50.0/24"),
    ("devices", "add", APPLIANCE, "plc", "192.168.50.12"),
    ("devices", "add", APPLIANCE, "a/b", "192.168.50.12"),
    ("devices", "add", f"{DOMAIN}/nowhere", "new", "192.168.50.12"),
    ("devices", "remove", f"{APPLIANCE}/nothing"),
    ("services", "add", DEVICE, "nosuchpreset"),
    ("services", "add", DEVICE, "modbus"),
    ("services", "add", DEVICE, "new", "--tcp", "0"),
    ("services", "add", DEVICE, "new", "--tcp", "65536"),
    ("services", "add", DEVICE, "new", "--tcp", "20-10"),
    ("services", "add", DEVICE, "new", "--tcp", "-5"),
    ("services", "add", DEVICE, "new", "--udp", "1-"),
    ("services", "add", DEVICE, "new", "--tcp", "٤٤"),
    ("services", "add", f"{APPLIANCE}/nothing", "modbus"),
    ("services", "remove", DEVICE, "nothing"),
    ("grants", "add", USER),
    ("grants", "add", "nobody", "--device", DEVICE),
    ("grants", "add", USER, "--device", DEVICE, "--appliance", APPLIANCE),
    ("grants", "add", USER, "--device", f"{APPLIANCE}/nothing"),
    ("grants", "add", USER, "--device", DEVICE, "--service", "nothing"),
    ("grants", "add", USER, "--device", DEVICE, "--until", "yesterday"),
    ("grants", "add", USER, "--device", DEVICE, "--until", "2020-01-01"),
    ("grants", "add", USER, "--device", DEVICE, "--from", "+2h", "--until", "+1h"),
    ("grants", "add", USER, "--device", DEVICE, "--until", "2026-02-30 10:00"),
    ("grants", "add", USER, "--device", DEVICE, "--reason", LONG),
    ("grants", "end", "nonsense"),
    ("sessions", "end", "nonsense"),
    ("sessions", "history", "--limit", "0"),
    ("appliances", "show", "nowhere"),
    ("appliances", "adopt", "nonsense", "--domain", DOMAIN, "--name", "x"),
    ("appliances", "rename", APPLIANCE, ""),
    ("appliances", "rename", f"{DOMAIN}/nowhere", "x"),
    ("appliances", "revoke", "nowhere"),
    ("appliances", "remove", "nowhere"),
    ("init", "--name", "again", "--address", "203.0.113.10"),
    ("serve",),
]
WRONG_SM = [
    ("frobnicate",),
    ("enrol", "--claim", "glc1_again"),
    ("enrol",),
    ("run",),
    ("reset",),
    ("cleanup",),
    ("status", "--jsn"),
    ("config", "set", "ports", "0"),
    ("config", "set", "ports", "443,443"),
    ("config", "set", "ports", "https"),
    ("config", "set", "nothing", "1"),
    ("config", "set", "dev_interfaces", "lo"),
    ("config", "set", "dev_interfaces", "gls0"),
    ("config", "set", "dev_interfaces", "a b"),
    ("config", "set", "gm_addresses", "http://gm"),
    ("config", "set", "probe_s", "-1"),
    ("config", "set", "probe_s", "nan"),
    ("config", "set", "max_sessions", "1000"),
    ("config", "set", "version", "2"),
    ("config", "set", "set_system_clock", "maybe"),
    ("config", "set", "proxies", "proxy:3128"),
    ("config", "set", "gm_addresses", LONG),
]
WRONG_LM = [
    ("frobnicate",),
    ("connect",),
    ("connect", ""),
    ("connect", "nowhere"),
    ("connect", f"{APPLIANCE}/nothing"),
    ("connect", LONG),
    ("connect", "a\nb"),
    ("connect", APPLIANCE, "--reason", LONG),
    ("disconnect",),
    ("disconnect", "nowhere"),
    ("disconnect", "nowhere", "--all"),
    ("redeem", "nonsense", "--password-stdin"),
    ("redeem", "gli1_nonsense", "--password-stdin"),
    ("redeem", "glc1_nonsense", "--password-stdin"),
    ("import", "/nowhere/at/all.p12", "--gm", "203.0.113.10"),
    ("import", "/etc/passwd", "--gm", "203.0.113.10", "--replace"),
    ("trust", APPLIANCE),
    ("trust", "nowhere"),
    ("status", "--jsn"),
    ("--home", "/proc/nowhere", "status"),
]


def complaints_of(program: str, done: Completed, spoken: object) -> list[str]:
    """What is wrong with how a wrong input was answered."""
    lines = done.stderr.splitlines()
    wrong = []
    if done.returncode == 0:
        wrong.append("status 0")
    if len(lines) != 1:
        wrong.append(f"{len(lines)} lines")
    if not done.stderr.startswith(f"{program}: "):
        wrong.append("does not begin with the program's name")
    if "Traceback" in done.stderr or done.stdout:
        wrong.append("says more than that")
    if len(done.stderr) > 1000:
        wrong.append(f"{len(done.stderr)} characters")
    return [f"{str(spoken)[:80]}: {', '.join(wrong)}: {done.stderr[:300]!r} {done.stdout[:80]!r}"] if wrong else []


def tell_wrongly(place: Place, main: str, inputs: list[tuple[str, ...]], env: dict[str, str], user: str | None) -> Any:
    """Give a program each of the wrong inputs; all in one process, for a second each would be a long time."""
    script = json.dumps(inputs)
    done = place.run(
        [sys.executable, "-P", "-c", _EVERY, *main.split(":")], stdin_text=script, env=env, user=user, timeout_s=120
    )
    return [(words, Completed(*answer)) for words, answer in zip(inputs, json.loads(done.stdout), strict=True)]


def files_of(directory: Path) -> dict[str, str]:
    """What is kept in a directory, without what changes by itself."""
    live = (".log", ".sock", "-shm", "-wal", ".lock", "heartbeat")
    return {
        str(path.relative_to(directory)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(directory.rglob("*"))
        if path.is_file() and not path.name.endswith(live) and path.suffix != ".sqlite3"
    }


def records_of(system: System) -> list[Any]:
    """Everything that administrators see of the database, without what changes by itself."""
    gm = system.gm
    found = [gm.ask(kind, "list") for kind in ("domains", "users", "claims", "invitations", "devices", "grants")]
    appliances = [(row["path"], row["id"], row["state"]) for row in gm.ask("appliances", "list")]
    return [*found, appliances, gm.ask("services", "list", DEVICE), files_of(gm.data)]


def test_gm_says_one_line_and_changes_nothing_when_input_is_wrong(system: System) -> None:
    ensure_rights(system)
    before = records_of(system)
    gm = system.gm
    wrong = []
    for words, done in tell_wrongly(gm.place, "gm_server.cli.program:run", WRONG_GM, gm.environment, None):
        wrong += complaints_of("gm", done, words)
    assert not wrong, "\n".join(wrong)
    assert records_of(system) == before


def test_sm_says_one_line_and_changes_nothing_when_input_is_wrong(system: System) -> None:
    before = files_of(system.sm.state)
    wrong = []
    for words, done in tell_wrongly(system.sm.place, "sitemanager.cli:main", WRONG_SM, system.sm.environment, None):
        wrong += complaints_of("sm", done, words)
    assert not wrong, "\n".join(wrong)
    assert files_of(system.sm.state) == before
    assert system.gm.is_online()


def test_lm_says_one_line_and_changes_nothing_when_input_is_wrong(system: System, calm: dict[str, Any]) -> None:
    ensure_rights(system)
    before = files_of(system.lm.home)
    wrong = []
    lm = system.lm
    for words, done in tell_wrongly(lm.place, "lm_client.cli:run", WRONG_LM, lm.environment, lm.user):
        wrong += complaints_of("lm", done, words)
    assert not wrong, "\n".join(wrong)
    assert files_of(lm.home) == before
    assert traces(lm.place) == calm


def test_session_ends_within_two_seconds_when_the_appliance_is_revoked(system: System, polled: Poller) -> None:
    """The last one: nobody can take it back."""
    system.gm.run("appliances", "revoke", APPLIANCE)
    assert end_within(polled, now()) < PROMISED_S
    wait_until(lambda: not system.gm.is_online(), 5, "the appliance to be thrown out")

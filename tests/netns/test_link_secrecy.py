"""A GateManager that is not honest reads nothing and gets nobody in between; its tickets open one leg each, once."""

from __future__ import annotations

import datetime
import json
import sys
from typing import Any

import pytest

from gatelink.identity import (
    fingerprint_text,
    from_pem,
    from_pkcs12,
    issue,
    make_request,
    new_key,
    own_key_sha256,
)
from lab import Lab, wait_until
from lab.layout import GM_ADDRESS
from lab.products import APPLIANCE, DOMAIN, PASSWORD, PLC_ADDRESS, USER, LinkManager, SiteManager, System
from netns.link_bent import BentGateManager
from netns.link_captures import capture
from netns.link_use import TESTS, appliance, poll, session
from netns.link_writer import read_request, write_request

pytestmark = pytest.mark.netns

_TEXT = "recipe 4711: 80 % Cu"
_TICKET_REFUSED = "ticket: the ticket is used, expired or not yours: ask for the session again"


@pytest.fixture(scope="module")
def gm(module_lab: Lab) -> BentGateManager:
    return BentGateManager(module_lab)


@pytest.fixture(scope="module")
def system(module_lab: Lab, gm: BentGateManager) -> System:
    system = System(module_lab)
    system.gm = gm
    return system.__enter__()


@pytest.fixture(scope="module")
def second_lm(system: System) -> LinkManager:
    """The same user's other PC; not logged in."""
    lm = LinkManager(system.lab, system.lab.add_pc())
    lm.redeem(system.gm.invite())
    return lm


def run_program(place_argv: list[str], system: System, *, place: str = "pc") -> str:
    """Run one of this folder's programs; what it said."""
    argv = [sys.executable, "-P", "-m", *place_argv]
    return system.lab.place(place).run(argv, env={"PYTHONPATH": str(TESTS)}, timeout_s=60).stdout


def made_up_certificate(gm: BentGateManager) -> tuple[bytes, str]:
    """A SiteManager's certificate, signed as the real one is, to a key of the GateManager's owner; its fingerprint."""
    authority, key = from_pem((gm.data / "device_ca.pem").read_bytes()), new_key()
    made = issue(make_request(key), authority, "press", datetime.datetime.now(datetime.UTC), 3650)
    return made, fingerprint_text(own_key_sha256(key))


def ended_session(gm: BentGateManager) -> dict[str, Any]:
    """The last session, once its end is written down."""
    last: dict[str, Any] = gm.ask("sessions", "history", "--limit", "1")[0]
    return last if last["ended_at"] else {}


def own_key(sm: SiteManager) -> str:
    """The fingerprint that the SiteManager itself shows."""
    return str(sm.ask("status")["key"])


def test_gm_sees_nothing_of_what_a_session_carries(system: System, gm: BentGateManager) -> None:
    lab = system.lab
    before = len(gm.relayed)
    with capture(lab.internet, "any") as lines_of_gm, capture(lab.site, "eth1") as line_of_plant:
        with session(system.lm):
            assert run_program(["netns.link_writer", _TEXT], system) == f"{_TEXT}\n"
        ended = wait_until(lambda: ended_session(gm), 10, "the session's end")
        relayed = gm.relayed[before:]
        # Nothing passed the recording, and nothing passed the capture: so what is not found was not there.
        assert len(relayed) == ended["bytes_from_user"] + ended["bytes_from_appliance"] > 1000
        wait_until(lambda: relayed[:64] in lines_of_gm and relayed[-16:] in lines_of_gm, 10, "the legs in the capture")
        wait_until(lambda: _TEXT.encode() in line_of_plant, 10, "the text on the plant's line")
    assert relayed[:3] == b"\x16\x03\x01"
    write, read = write_request(_TEXT), read_request()
    addresses = b"".join(bytes([int(part)]) for part in PLC_ADDRESS.split("."))
    patterns = {"the text": _TEXT.encode(), "writing": write[:13], "MBAP header": write[:8], "reading": read}
    for name, pattern in patterns.items():
        assert pattern in line_of_plant, name
        assert pattern not in lines_of_gm, name
        assert pattern not in relayed, name
    assert addresses in line_of_plant
    assert addresses not in relayed


def test_lm_notices_when_the_gm_names_another_key_for_an_appliance_that_it_knows(
    system: System, gm: BentGateManager
) -> None:
    with session(system.lm):
        known = own_key(system.sm)
    certificate, met = made_up_certificate(gm)
    before = len(gm.relayed)
    with gm.told("appliance.der", certificate):
        refused = system.lm.run("connect", APPLIANCE, check=False)
    assert refused.returncode == 1
    assert f"press has another key than before: expected {known}, got {met}" in refused.stderr
    assert "lm trust press" in refused.stderr
    assert len(gm.relayed) == before
    # He says the truth again: nothing was believed meanwhile.
    with session(system.lm):
        poll(system.lab.pc)


def test_lm_refuses_the_far_end_when_the_gm_named_another_key_from_the_first_session_on(
    system: System, gm: BentGateManager, second_lm: LinkManager
) -> None:
    second_lm.start_service()
    second_lm.login()
    certificate, _ = made_up_certificate(gm)
    try:
        with gm.told("appliance.der", certificate):
            refused = second_lm.run("connect", APPLIANCE, check=False)
        assert refused.returncode == 1
        assert "the other end of the session presented another certificate than was announced" in refused.stderr
        # Only a key that proved itself is remembered.
        assert "First session with it" in second_lm.run("connect", APPLIANCE).stdout
        poll(second_lm.place)
    finally:
        second_lm.run("disconnect", "--all", check=False)
        second_lm.run("logout")


def test_sm_refuses_the_far_end_when_the_gm_named_another_lm(
    system: System, gm: BentGateManager, second_lm: LinkManager
) -> None:
    other = from_pkcs12((second_lm.home / "identity.p12").read_bytes(), PASSWORD).certificate
    assert system.sm.process is not None
    before = len(system.sm.process.lines)
    with gm.told("user.der", other):
        refused = system.lm.run("connect", APPLIANCE, check=False)
    assert refused.returncode == 1
    system.sm.process.wait_for_line(
        "refused: the other end of the session presented another certificate than was announced", after=before
    )
    assert system.lm.ask("status")["sessions"] == []
    with session(system.lm):
        poll(system.lab.pc)


def test_replaced_sm_is_used_only_after_its_key_was_compared(system: System) -> None:
    lab, gm, lm = system.lab, system.gm, system.lm
    site, plant = lab.add_site()
    plc = plant.start_module("lab.plc")
    plc.wait_for_line("PLC listens")
    mill = SiteManager(lab, site)
    mill.enrol(gm.claim(DOMAIN, "mill"))
    mill.start()
    mill.wait_until_connected()
    path = "acme/line3/mill"
    system.add_device(f"{path}/plc", PLC_ADDRESS, "modbus")
    gm.run("grants", "add", USER, "--appliance", path)
    first_key = own_key(mill)
    with session(lm, path):
        poll(lab.pc)
        assert lm.ask("status")["sessions"][0]["key_fingerprint"] == first_key
    mill.kill9()
    mill.run("reset", "--yes")
    mill.enrol(gm.claim(DOMAIN, "mill", "--replace"))
    mill.start()
    mill.wait_until_connected()
    second_key = own_key(mill)
    assert second_key != first_key
    wait_until(lambda: appliance(gm, path)["online"], 10, "the new unit to be online")
    refused = lm.run("connect", path, check=False)
    assert refused.returncode == 1
    assert f"expected {first_key}, got {second_key}; compare with its own page, then `lm trust mill`" in refused.stderr
    # What was not compared, or not the same, changes nothing.
    asked = lm.run("trust", path, stdin_text="n\n", check=False)
    assert asked.returncode == 1
    assert first_key in asked.stdout
    assert second_key in asked.stdout
    assert lm.run("trust", path, "--fingerprint", first_key, check=False).returncode == 2
    assert lm.run("connect", path, check=False).returncode == 1
    assert "Accepted" in lm.run("trust", path, "--fingerprint", second_key).stdout
    with session(lm, path):
        poll(lab.pc)
    assert lm.run("trust", path, check=False).returncode == 2


@pytest.fixture(scope="module")
def attempts(system: System, gm: BentGateManager, second_lm: LinkManager) -> dict[str, str]:
    """What came of presenting tickets; see `link_ticket_holder`."""
    arguments = [GM_ADDRESS, appliance(gm)["id"], str(second_lm.home), PASSWORD, str(system.sm.state), str(gm.bent)]
    said = run_program(["netns.link_ticket_holder", *arguments], system, place=second_lm.place.name)
    found: dict[str, str] = json.loads(said)
    return found


@pytest.mark.parametrize(
    "how",
    ["made up", "LM's by SM", "SM's by LM", "used, by LM", "used, by SM", "of an ended session", "expired"],
)
def test_ticket_is_refused_with_one_and_the_same_text_when_it_is(attempts: dict[str, str], how: str) -> None:
    assert attempts[how] == _TICKET_REFUSED


def test_ticket_stays_good_for_its_party_when_somebody_else_presented_it(attempts: dict[str, str]) -> None:
    assert attempts["LM's by LM, after SM tried"] == "joined"

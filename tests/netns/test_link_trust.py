"""Nobody but the right GateManager is believed: at the first contact, afterwards, for legs, in succession."""

from __future__ import annotations

import itertools
import shutil
from typing import Any

import msgspec
import pytest

from gatelink.claims import parse_claim
from gatelink.identity import Identity, fingerprint_text, from_pem, from_pkcs12, key_sha256
from gatelink.pins import Pin, describe
from gatelink.wire import ALPN_CONTROL, ALPN_HELLO, ALPN_RELAY
from lab import Lab, wait_until
from lab.layout import GM_ADDRESS, GM_PORTS, GM_SECOND_ADDRESS
from lab.products import APPLIANCE, DOMAIN, PASSWORD, USER, GateManager, LinkManager, SiteManager, System
from netns.link_impostors import Impostor, forged_succession, hello, other, real_certificate, twin
from netns.link_use import poll, session

pytestmark = pytest.mark.netns

_NAMES = (f"unit-{number}" for number in itertools.count(1))
_NOT_PINNED = "is not the pinned one"


@pytest.fixture(scope="module")
def system(module_lab: Lab) -> System:
    """Everybody connected; who lost the connection tries again within a second."""
    system = System(module_lab)
    system.sm.run("config", "set", "backoff_longest_s", "1")
    system.lm.configure("[link]", "backoff_longest_s = 1.0")
    return system.__enter__()


@pytest.fixture(scope="module")
def secrets(system: System) -> dict[str, bytes]:
    """What an impostor must never hear."""
    lm = from_pkcs12((system.lm.home / "identity.p12").read_bytes(), PASSWORD)
    sm = from_pem((system.sm.state / "identity.pem").read_bytes())
    return {"password": PASSWORD.encode(), "LM's certificate": lm.certificate, "SM's certificate": sm.certificate}


@pytest.fixture(scope="module")
def new_sm(system: System) -> SiteManager:
    """A SiteManager out of the box, behind a firewall of its own (`factory2`)."""
    site, _ = system.lab.add_site()
    return SiteManager(system.lab, site)


@pytest.fixture(scope="module")
def new_lm(system: System) -> LinkManager:
    """A PC in the office whose user is nobody yet."""
    return LinkManager(system.lab, system.lab.add_pc())


def impostor_identity(system: System, kind: str) -> Identity:
    return twin(real_certificate(system.gm)) if kind == "twin" else other()


def wait_until_both_are_back(system: System, since: int) -> None:
    """Wait until SM (from this line of its log on) and LM have a connection."""
    system.sm.wait_until_connected(30, after=since)
    wait_until(lambda: system.lm.ask("status")["connected"], 30, "lm to be connected")


def restart_gm(gm: GateManager) -> None:
    """So that everybody connects anew."""
    gm.kill9()
    gm.start()


def alarms_about(gm: GateManager, identity: Identity) -> list[dict[str, Any]]:
    """What the GateManager was told of this impostor."""
    key = fingerprint_text(key_sha256(identity.certificate))
    return [alarm for alarm in gm.ask("alarms", "list") if alarm["key"] == key]


def pin_of(sm: SiteManager) -> Pin:
    return msgspec.json.decode((sm.state / "pin.json").read_bytes(), type=Pin)


# the first contact


@pytest.mark.parametrize("kind", ["other", "twin"])
@pytest.mark.parametrize("fingerprint", [True, False], ids=["with-fingerprint", "without-fingerprint"])
def test_sm_refuses_an_impostor_at_the_first_contact_when_it_has_a_claim(
    system: System, new_sm: SiteManager, kind: str, fingerprint: bool
) -> None:
    claim = system.gm.claim(DOMAIN, next(_NAMES), *([] if fingerprint else ["--without-fingerprint"]))
    secret = parse_claim(claim, "appliance").secret
    with Impostor(system, "factory2", impostor_identity(system, kind)) as impostor:
        refused = new_sm.run("enrol", "--claim-file", "-", stdin_text=claim, check=False)
        impostor.assert_learnt_nothing(
            {"claim's secret": secret}, but=frozenset() if fingerprint else frozenset({"enrol-start"})
        )
    assert refused.returncode == 1
    assert str(impostor) in refused.stderr
    if fingerprint:
        assert describe(real_certificate(system.gm)).replace("serial ", "expected serial ") in refused.stderr
    else:
        assert "did not prove the claim's secret" in refused.stderr
    assert not (new_sm.state / "identity.pem").exists()
    assert not (new_sm.state / "pin.json").exists()
    # The claim is as good as before.
    assert "both sides proved the claim" in new_sm.run("enrol", "--claim-file", "-", stdin_text=claim).stderr
    assert pin_of(new_sm) == Pin(real_certificate(system.gm), "fingerprint" if fingerprint else "proof")
    new_sm.run("reset", "--yes")


@pytest.mark.parametrize("kind", ["other", "twin"])
@pytest.mark.parametrize("fingerprint", [True, False], ids=["with-fingerprint", "without-fingerprint"])
def test_lm_refuses_an_impostor_at_the_first_contact_when_it_has_an_invitation(
    system: System, new_lm: LinkManager, kind: str, fingerprint: bool
) -> None:
    invitation = system.gm.invite(USER, *([] if fingerprint else ["--without-fingerprint"]))
    secret = parse_claim(invitation, "user").secret
    redeem = ("redeem", invitation, "--replace", "--password-stdin")
    with Impostor(system, "office", impostor_identity(system, kind)) as impostor:
        refused = new_lm.run(*redeem, stdin_text=PASSWORD, check=False)
        impostor.assert_learnt_nothing(
            {"invitation's secret": secret, "password": PASSWORD.encode()},
            but=frozenset() if fingerprint else frozenset({"enrol-start"}),
        )
    assert refused.returncode == 1
    assert str(impostor) in refused.stderr
    if fingerprint:
        assert describe(real_certificate(system.gm)).replace("serial ", "expected serial ") in refused.stderr
    else:
        assert "did not prove the claim's secret" in refused.stderr
    redeemed = new_lm.run(*redeem, stdin_text=PASSWORD).stdout
    assert describe(real_certificate(system.gm)) in redeemed
    assert "locked to it from now on" in redeemed


def test_sm_without_a_claim_locks_to_whom_it_meets_first_and_says_so(system: System, new_sm: SiteManager) -> None:
    real = real_certificate(system.gm)
    first = new_sm.run("enrol", "--gm", GM_ADDRESS).stderr
    assert "first contact without a claim: took the GateManager" in first
    assert f"locked to it, {describe(real)}; compare the serial" in first
    with Impostor(system, "factory2", other()) as impostor:
        refused = new_sm.run("enrol", "--gm", GM_ADDRESS, check=False)
        impostor.assert_learnt_nothing({})
    assert refused.returncode == 1
    assert f"expected {describe(real)}, got {impostor}" in refused.stderr
    name = next(_NAMES)
    (waiting,) = system.gm.ask("appliances", "waiting")
    system.gm.run("appliances", "adopt", waiting["id"], "--domain", DOMAIN, "--name", name)
    assert f"enrolled as {name}" in new_sm.run("enrol", "--gm", GM_ADDRESS).stderr
    assert pin_of(new_sm) == Pin(real, "first-use")
    new_sm.run("reset", "--yes")


def test_sm_without_a_claim_believes_an_impostor_whom_it_meets_first_and_nobody_else_afterwards(
    system: System, new_sm: SiteManager
) -> None:
    """The limit of first-use trust, as docs/security-model.md tells it: the serial has to be compared."""
    with Impostor(system, "factory2", other()) as impostor:
        believed = new_sm.run("enrol", "--gm", GM_ADDRESS).stderr
        assert f"locked to it, {impostor}; compare the serial" in believed
        assert [message["type"] for message in impostor.messages] == ["enrol-start", "enrol-request"]
    refused = new_sm.run("enrol", "--gm", GM_ADDRESS, check=False)
    assert refused.returncode == 1
    assert f"expected {impostor}, got {describe(real_certificate(system.gm))}" in refused.stderr
    new_sm.run("reset", "--yes")


class Delivered:
    """A certificate file of a new user, handed over to a PC."""

    def __init__(self, system: System, lm: LinkManager, user: str) -> None:
        made = system.lab.run_directory / f"{user}.p12"
        system.gm.run("users", "add", user, "--domain", "acme")
        system.gm.run("users", "export-p12", user, str(made), "--password", PASSWORD)
        self.certificate = from_pkcs12(made.read_bytes(), PASSWORD).certificate
        self.file, self.password_file = lm.home / made.name, lm.home / f"{user}.password"
        self.file.write_bytes(made.read_bytes())
        self.password_file.write_text(PASSWORD)
        for path in (self.file, self.password_file):
            path.chmod(0o644)
        lm.run("import", str(self.file), "--gm", GM_ADDRESS, "--replace")


def test_lm_with_a_certificate_file_locks_to_whom_it_meets_first_and_says_so(
    system: System, new_lm: LinkManager
) -> None:
    delivered = Delivered(system, new_lm, "bea")
    real = real_certificate(system.gm)
    first = new_lm.login().stdout
    assert describe(real).removesuffix(")") in first
    assert "First contact: locked to this certificate from now on. Compare the serial" in first
    new_lm.run("logout")
    with Impostor(system, "office", other()) as impostor:
        refused = new_lm.login(check=False)
        impostor.assert_learnt_nothing({"password": PASSWORD.encode(), "certificate": delivered.certificate})
    assert refused.returncode == 1
    assert f"expected {describe(real)}, got {impostor}" in refused.stderr
    assert "First contact" not in new_lm.login().stdout
    new_lm.run("logout")


def test_lm_with_a_certificate_file_believes_an_impostor_whom_it_meets_first_and_nobody_else_afterwards(
    system: System, new_lm: LinkManager
) -> None:
    """The limit of first-use trust; it shows as well that the impostor of these tests hears what is said to him."""
    delivered = Delivered(system, new_lm, "cem")
    with Impostor(system, "office", other(), relays=False, greeting=hello()) as impostor:
        login = new_lm.begin("login", "--password-file", str(delivered.password_file))
        wait_until(lambda: PASSWORD.encode() in impostor.heard, 30, "the password to be given away")
        assert impostor.certificates == [delivered.certificate]
    assert login.wait(30) == 1
    refused = new_lm.login(check=False)
    assert refused.returncode == 1
    assert f"expected {impostor}, got {describe(real_certificate(system.gm))}" in refused.stderr


# once the GateManager is known


@pytest.mark.parametrize("kind", ["other", "twin", "forged-succession"])
def test_both_refuse_an_impostor_and_report_him_when_they_connect_anew(
    system: System, secrets: dict[str, bytes], kind: str
) -> None:
    gm, sm, lm = system.gm, system.sm, system.lm
    real, identity = real_certificate(gm), impostor_identity(system, kind)
    options: dict[str, Any] = {}
    if kind == "forged-succession":
        options = {"relays": False, "greeting": forged_succession(real, identity)}
    assert sm.process is not None
    before = len(sm.process.lines)
    with (
        Impostor(system, "factory", identity, **options) as at_the_factory,
        Impostor(system, "office", identity, **options) as at_the_office,
    ):
        restart_gm(gm)
        expected = f"expected {describe(real)}, got {describe(identity.certificate)}; somebody may be in between"
        assert expected in sm.process.wait_for_line(_NOT_PINNED, 30, after=before).string
        wait_until(lambda: expected in lm.ask("status")["way"], 30, "lm to meet the impostor")
        assert expected in lm.log
        assert expected in lm.run("status").stdout
        wait_until(lambda: expected in sm.ask("status")["lost_reason"], 10, "sm status to name him")
        for impostor in (at_the_factory, at_the_office):
            impostor.assert_learnt_nothing(secrets)
            assert impostor.protocols == {ALPN_CONTROL, ALPN_HELLO}
            # To learn who is there is all that anybody wanted from him; nothing of ours is shown for that.
            assert impostor.agreed == {ALPN_HELLO}
        before = len(sm.process.lines)
    wait_until_both_are_back(system, before)
    serial = describe(identity.certificate).split()[1]
    alarms = alarms_about(gm, identity)
    assert {alarm["by"] for alarm in alarms} == {APPLIANCE, USER}
    assert {alarm["serial"] for alarm in alarms} == {serial}
    assert {alarm["at"] for alarm in alarms if alarm["by"] == USER} == {f"{GM_ADDRESS}:443"}
    ways = {f"{GM_ADDRESS}:{port}" for port in GM_PORTS}
    assert {alarm["at"] for alarm in alarms if alarm["by"] == APPLIANCE} == ways


@pytest.mark.parametrize(("firewall", "kind"), [("factory", "other"), ("office", "twin")])
def test_leg_of_a_session_is_not_opened_when_it_meets_an_impostor(
    system: System, secrets: dict[str, bytes], firewall: str, kind: str
) -> None:
    identity = impostor_identity(system, kind)
    with Impostor(system, firewall, identity) as impostor:
        refused = system.lm.run("connect", APPLIANCE, check=False)
        assert refused.returncode == 1
        assert f"expected {describe(real_certificate(system.gm))}, got {impostor}" in refused.stderr
        impostor.assert_learnt_nothing(secrets)
        assert impostor.protocols == {ALPN_RELAY, ALPN_HELLO}
        assert impostor.agreed == {ALPN_HELLO}
    assert system.lm.ask("status")["sessions"] == []
    with session(system.lm):
        poll(system.lab.pc)
    # He is reported at the next login.
    assert system.sm.process is not None
    before = len(system.sm.process.lines)
    restart_gm(system.gm)
    wait_until_both_are_back(system, before)
    reporter = APPLIANCE if firewall == "factory" else USER
    assert [alarm["by"] for alarm in alarms_about(system.gm, identity)] == [reporter]


def test_both_follow_when_the_gm_renews_its_certificate(system: System, secrets: dict[str, bytes]) -> None:
    gm, sm, lm = system.gm, system.sm, system.lm
    old = from_pem((gm.data / "appliance.pem").read_bytes())
    gm.run("certificate", "renew", "--yes")
    new = real_certificate(gm)
    assert old.certificate != new
    assert sm.process is not None
    before = len(sm.process.lines)
    restart_gm(gm)
    said = f"the GateManager proved a new certificate: {describe(new)}; locked to it"
    sm.process.wait_for_line(said.replace("(", r"\(").replace(")", r"\)"), 30, after=before)
    wait_until_both_are_back(system, before)
    serial = describe(new).split()[1]
    assert pin_of(sm) == Pin(new, "succession")
    assert sm.ask("status")["pin_serial"] == serial
    assert lm.ask("status")["pin"]["serial"] == serial
    assert f"signed for by the old one: {describe(new)}" in lm.log
    with session(lm):
        poll(system.lab.pc)
    # Whoever has the old key is an impostor from now on.
    with Impostor(system, "office", old) as impostor:
        refused = lm.run("connect", APPLIANCE, check=False)
        assert f"expected {describe(new)}, got {impostor}" in refused.stderr
        impostor.assert_learnt_nothing(secrets)


def test_everybody_finds_back_when_the_gm_comes_from_a_backup_at_another_address(system: System) -> None:
    gm, sm, lm = system.gm, system.sm, system.lm
    assert sm.process is not None
    pin, before = pin_of(sm), len(sm.process.lines)
    gm.configure("addresses", [GM_ADDRESS, GM_SECOND_ADDRESS])
    restart_gm(gm)
    wait_until_both_are_back(system, before)
    assert gm.process is not None
    gm.process.terminate(15)
    before = len(sm.process.lines)
    restored = GateManager(system.lab, name="gm-restored")
    shutil.copytree(gm.data, restored.data, ignore=shutil.ignore_patterns("gm.sock"))
    restored.configure("listen", [f"{GM_SECOND_ADDRESS}:{port}" for port in GM_PORTS])
    try:
        restored.start()
        sm.process.wait_for_line(f"connected to {GM_SECOND_ADDRESS} port", 30, after=before)
        wait_until(lambda: lm.ask("status")["connected"], 30, "lm to be connected")
        assert lm.ask("status")["way"] == f"{GM_SECOND_ADDRESS}:443"
        assert pin_of(sm) == pin
        with session(lm):
            poll(system.lab.pc)
    finally:
        restored.kill9()
        gm.configure("addresses", [GM_ADDRESS])
        before = len(sm.process.lines)
        gm.start()
    wait_until_both_are_back(system, before)

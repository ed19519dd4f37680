"""The LinkManager with the real GateManager and SiteManager: what a person does, and every way in which it can end."""

from __future__ import annotations

import datetime
import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gatelink.identity import fingerprint_text, key_sha256, self_signed, serial_text, to_pem
from lab import Lab, Place, wait_until
from lab.mitm import MitmRelay
from lab.products import APPLIANCE, PASSWORD, PLC_ADDRESS, USER, System

pytestmark = pytest.mark.netns

NOW = datetime.datetime(2026, 11, 1, tzinfo=datetime.UTC)
SETTINGS = (
    "[session]",
    "keepalive_s = 1.0",
    "give_up_s = 30.0",
    "backoff_first_s = 0.1",
    "backoff_longest_s = 0.5",
    "[link]",
    "backoff_first_s = 0.1",
    "backoff_longest_s = 0.5",
)


def _routes(place: Place) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(place.run(["ip", "-json", "-4", "route"]).stdout)
    return found


def _interfaces(place: Place) -> set[str]:
    links = json.loads(place.run(["ip", "-json", "link"]).stdout)
    return {link["ifname"] for link in links if link["ifname"].startswith("gl")}


class Bench:
    """The whole system, logged in, and how the PC's routes were before."""

    def __init__(self, lab: Lab) -> None:
        self.lab = lab
        self.system = System(lab)
        self.lm = self.system.lm
        self.gm = self.system.gm
        self.lm.configure(*SETTINGS)
        self.before = _routes(lab.pc)
        self.system.__enter__()

    def restore(self) -> None:
        """Be logged in, with a service and without a session, whatever a test did."""
        for line in self.lab.lines.values():
            line.clear()
        if self.lm.service is None or self.lm.service.returncode is not None:
            self.lm.start_service()
        if self.lm.run("status", check=False).returncode:
            self.lm.login()
        self.lm.run("disconnect", "--all")
        self.wait_clean()

    def wait_clean(self, deadline_s: float = 5.0) -> None:
        """Wait until the PC is as it was."""
        wait_until(lambda: not _interfaces(self.lab.pc), deadline_s, "the adapters to go")
        assert _routes(self.lab.pc) == self.before

    def status(self) -> dict[str, Any]:
        """What ``lm status --json`` says."""
        found: dict[str, Any] = self.lm.ask("status")
        return found

    def poll(self) -> None:
        """Read the PLC once, as any Modbus client would."""
        client = self.lab.pc.start_module("lab.modbus_client", "--polls", "1")
        assert client.wait() == 0, client.log

    def failure(self, *arguments: str, stdin_text: str | None = None) -> tuple[int, str]:
        """The exit status and the one line of a command that must fail."""
        done = self.lm.run(*arguments, check=False, stdin_text=stdin_text)
        assert done.returncode != 0, done.stdout
        assert done.stdout == ""
        assert len(done.stderr.splitlines()) == 1, done.stderr
        assert done.stderr.startswith("lm: ")
        return done.returncode, done.stderr


@pytest.fixture(scope="module")
def whole(module_lab: Lab) -> Bench:
    return Bench(module_lab)


@pytest.fixture
def bench(whole: Bench) -> Iterator[Bench]:
    yield whole
    whole.restore()


def test_plc_answers_at_its_own_address_when_connected(bench: Bench) -> None:
    done = bench.lm.run("connect", "press", "--reason", "looking at the press")
    assert f"{APPLIANCE}: connected in " in done.stdout
    assert PLC_ADDRESS in done.stdout
    bench.poll()
    added = [route for route in _routes(bench.lab.pc) if route not in bench.before]
    assert {route["dst"] for route in added if "gateway" in route} == {PLC_ADDRESS}
    assert {route["dev"] for route in added} == {"gl0"}
    assert len(added) == 2
    session = bench.status()["sessions"][0]
    assert (session["state"], session["interface"]) == ("up", "gl0")
    assert session["bytes_received"] > 0
    bench.lm.run("disconnect", "press")
    bench.wait_clean(0.1)
    (last, *_) = bench.gm.ask("sessions", "history")
    assert last["end"] == "ended-by-user"


def test_list_shows_devices_and_services_when_logged_in(bench: Bench) -> None:
    text = bench.lm.run("list").stdout
    assert f"{APPLIANCE}  online" in text
    assert "modbus (tcp/502), ping (ping)" in text
    assert bench.lm.ask("list")[0]["devices"][0]["address"] == PLC_ADDRESS


def test_nothing_is_left_when_logged_out(bench: Bench) -> None:
    bench.lm.run("connect", "press")
    bench.lm.run("logout")
    bench.wait_clean(0.1)
    assert bench.failure("status") == (1, "lm: not logged in: use `lm login`\n")


def test_nothing_is_left_when_the_agent_is_killed(bench: Bench) -> None:
    bench.lm.run("connect", "press")
    os.kill(bench.lm.agent_pid, signal.SIGKILL)
    bench.wait_clean()
    assert bench.failure("list")[0] == 1
    bench.lm.login()
    bench.lm.run("connect", "press")
    bench.poll()


def test_nothing_is_left_when_the_service_is_killed(bench: Bench) -> None:
    bench.lm.run("connect", "press")
    assert bench.lm.service is not None
    bench.lm.service.kill9()
    bench.wait_clean()
    wait_until(lambda: bench.status()["ended"], 5, "the end of the session")
    assert "the service with rights has ended" in bench.status()["ended"][-1]["detail"]
    assert "start `lm service`" in bench.failure("connect", "press")[1]
    bench.lm.start_service()
    bench.lm.run("connect", "press")
    bench.poll()


def test_nothing_is_left_when_agent_and_service_are_killed(bench: Bench) -> None:
    bench.lm.run("connect", "press")
    pid = bench.lm.agent_pid
    assert bench.lm.service is not None
    os.kill(pid, signal.SIGSTOP)  # so that it cannot clean up after the service
    bench.lm.service.kill9()
    assert _interfaces(bench.lab.pc) == {"gl0"}
    os.kill(pid, signal.SIGKILL)
    bench.wait_clean()


@pytest.mark.parametrize("victim", ["agent", "service", "command"])
def test_nothing_is_left_when_killed_while_connecting(bench: Bench, victim: str) -> None:
    bench.lab.line("factory-site").change(cut=True)  # the GM believes that the SM is there; its leg never comes
    command = bench.lm.begin("connect", "press")
    wait_until(lambda: _interfaces(bench.lab.pc), 10, "the adapter")
    assert bench.status()["sessions"][0]["state"] == "connecting"
    if victim == "agent":
        os.kill(bench.lm.agent_pid, signal.SIGKILL)
    elif victim == "service":
        assert bench.lm.service is not None
        bench.lm.service.kill9()
    else:
        command.signal(signal.SIGINT)
    bench.wait_clean()
    assert command.wait() != 0


def test_nothing_is_left_within_two_seconds_when_an_administrator_ends_the_session(bench: Bench) -> None:
    bench.lm.run("connect", "press")
    bench.gm.run("sessions", "end", bench.status()["sessions"][0]["session_id"])
    bench.wait_clean(2)
    wait_until(lambda: bench.status()["ended"], 2, "the end of the session")
    assert "ended by the GateManager: " in bench.lm.run("status").stdout
    assert not bench.status()["sessions"]


def test_connection_of_the_application_survives_when_the_line_was_cut(bench: Bench) -> None:
    bench.lm.run("connect", "press")
    client = bench.lab.pc.start_module("lab.modbus_client", "--polls", "8", "--period", "0.5", "--timeout", "30")
    client.wait_for_line("ms: ")
    bench.lab.line("pc-office").change(cut=True)
    wait_until(lambda: "interrupted" in bench.lm.log, 15, "the interruption")
    assert [route["dst"] for route in _routes(bench.lab.pc) if route.get("gateway") == "198.18.0.1"] or _interfaces(
        bench.lab.pc
    ) == {"gl0"}
    bench.lab.line("pc-office").clear()
    assert client.wait(40) == 0, client.log
    assert bench.status()["sessions"][0]["reconnects"] >= 1


def test_session_goes_on_when_the_gm_was_killed(bench: Bench) -> None:
    bench.lm.run("connect", "press")
    bench.gm.kill9()
    bench.gm.start()
    wait_until(lambda: (s := bench.status()["sessions"]) and s[0]["state"] == "up" and s[0]["reconnects"], 40, "it")
    bench.poll()


def test_login_fails_when_the_password_is_wrong(bench: Bench) -> None:
    bench.lm.run("logout")
    status, text = bench.failure("login", "--password-stdin", stdin_text="not the password")
    assert (status, text) == (1, "lm: the password is wrong, or the certificate file is damaged\n")
    assert bench.failure("status")[0] == 1


def test_login_names_both_certificates_when_somebody_is_in_between(bench: Bench, tmp_path: Path) -> None:
    bench.lm.run("logout")
    impostor = self_signed("gm", NOW, 365)
    (tmp_path / "certificate.pem").write_bytes(to_pem(impostor))
    genuine = bench.gm.ask("certificate", "show")
    with MitmRelay(bench.lab, "office", tmp_path / "certificate.pem", tmp_path / "certificate.pem") as mitm:
        status, text = bench.failure("login", "--password-stdin", stdin_text=PASSWORD)
        received = b"".join(conversation.received for conversation in mitm.conversations())
    assert status == 1
    assert f"expected serial {genuine['serial']}" in text
    assert f"got serial {serial_text(impostor.certificate)}" in text
    assert fingerprint_text(key_sha256(impostor.certificate)) in text
    assert PASSWORD.encode() not in received
    bench.lm.login()


def test_wrong_input_is_told_in_one_line_when_typed(bench: Bench) -> None:
    assert bench.failure("connect", "nothing")[0] == 2
    assert "`lm list` shows" in bench.failure("connect", "nothing")[1]
    assert bench.failure("disconnect", "press")[0] == 2
    assert bench.failure("disconnect")[0] == 2
    assert bench.failure("connect")[0] == 2
    assert bench.failure("trust", "press")[0] == 2
    assert bench.failure("redeem", "gli1_x", "--password-stdin", stdin_text=PASSWORD)[0] == 2
    assert "belongs to ann already" in bench.failure("import", "x.p12", "--gm", "gm.example.com")[1]


def test_key_is_kept_when_redeeming_was_interrupted(bench: Bench) -> None:
    home = bench.lm.directory / "second"
    home.mkdir()
    (home / "config.toml").write_text((bench.lm.home / "config.toml").read_text())
    (home / "identity.p12").mkdir()  # the answer comes, and cannot be kept
    if bench.lm.user is not None:
        uid = bench.lm.home.stat().st_uid
        for path in (home, home / "identity.p12"):
            os.chown(path, uid, bench.lm.home.stat().st_gid)
    invitation = bench.gm.invite(USER)
    words = ("--home", str(home), "redeem", invitation, "--password-stdin")
    assert "cannot write" in bench.failure(*words, stdin_text=PASSWORD)[1]
    assert bench.failure(*words, stdin_text="another password")[0] == 2
    (home / "identity.p12").rmdir()
    text = bench.lm.run(*words, stdin_text=PASSWORD).stdout
    assert f"This PC is now {USER}'s" in text
    assert f"serial {bench.gm.ask('certificate', 'show')['serial']}" in text
    assert not list(home.glob("pending-*"))
    assert "belongs to ann already" in bench.failure(*words, stdin_text=PASSWORD)[1]


def test_gm_is_locked_to_when_a_delivered_certificate_logs_in(bench: Bench) -> None:
    home = bench.lm.directory / "delivered"
    file = bench.lm.directory / "bob.p12"
    bench.gm.run("users", "add", "bob", "--domain", "acme")
    bench.gm.run("users", "export-p12", "bob", str(file), "--password", PASSWORD)
    file.chmod(0o644)
    home.mkdir()
    if bench.lm.user is not None:
        os.chown(home, bench.lm.home.stat().st_uid, bench.lm.home.stat().st_gid)
    words = ("--home", str(home))
    bench.lm.run(*words, "import", str(file), "--gm", "203.0.113.10")
    text = bench.lm.run(*words, "login", "--password-stdin", stdin_text=PASSWORD).stdout
    serial = bench.gm.ask("certificate", "show")["serial"]
    assert f"GateManager: serial {serial} " in text
    assert "First contact: locked to this certificate" in text
    bench.lm.run(*words, "logout")
    text = bench.lm.run(*words, "login", "--password-stdin", stdin_text=PASSWORD).stdout
    assert "First contact" not in text
    assert json.loads((home / "profile.json").read_text())["user"] == "bob"
    bench.lm.run(*words, "logout")


def test_pin_follows_when_the_gm_renewed_its_certificate(bench: Bench) -> None:
    before = bench.status()["pin"]["serial"]
    bench.gm.run("certificate", "renew", "--yes")
    bench.gm.kill9()
    bench.gm.start()
    wait_until(lambda: bench.status()["pin"]["serial"] != before and bench.status()["connected"], 20, "the new pin")
    assert bench.status()["pin"]["serial"] == bench.gm.ask("certificate", "show")["serial"]
    assert bench.status()["pin"]["how"] == "succession"
    bench.lm.run("logout")
    bench.lm.login()


def test_login_ends_when_the_user_is_disabled(bench: Bench) -> None:
    bench.lm.run("connect", "press")
    bench.gm.run("users", "disable", USER)
    try:
        bench.wait_clean(4)
        wait_until(lambda: bench.lm.run("status", check=False).returncode == 1, 5, "the agent to end")
        assert "not logged in: use `lm login` (the last agent ended: " in bench.failure("status")[1]
        assert bench.failure("login", "--password-stdin", stdin_text=PASSWORD)[0] == 1
    finally:
        bench.gm.run("users", "enable", USER)


def test_changed_key_is_refused_until_trusted_when_the_sm_was_replaced(bench: Bench) -> None:
    bench.lm.run("connect", "press")
    bench.lm.run("disconnect", "press")
    sm = bench.system.sm
    sm.kill9()
    sm.run("cleanup")
    sm.run("reset", "--yes")
    sm.enrol(bench.gm.claim("acme/line3", "press", "--replace"))
    sm.start()
    sm.wait_until_connected()
    status, text = bench.failure("connect", "press")
    assert status == 1
    assert "has another key than before: expected " in text
    bench.wait_clean(0.1)
    fingerprint = text.partition(", got ")[2].partition(";")[0]
    assert bench.failure("trust", "press", "--fingerprint", "0000 0000")[0] == 2
    bench.lm.run("trust", "press", "--fingerprint", fingerprint)
    bench.lm.run("connect", "press")
    bench.poll()


def test_status_is_told_again_and_again_when_watched(bench: Bench) -> None:
    watch = bench.lm.begin("status", "--watch", "--json")
    watch.wait_for_line('"sessions":\\[\\]')
    bench.lm.run("connect", "press")
    watch.wait_for_line('"state":"up"')
    watch.signal(signal.SIGINT)
    assert watch.wait() == 0


def test_nothing_is_left_when_an_agent_in_the_foreground_is_terminated(bench: Bench) -> None:
    bench.lm.run("logout")
    password = bench.lm.directory / "password"
    password.write_text(PASSWORD)
    agent = bench.lm.begin("agent", "--password-file", str(password))
    agent.wait_for_line(f"Logged in to acme as {USER}, by ")
    bench.lm.run("connect", "press")
    assert agent.terminate() == 0
    bench.wait_clean(0.1)


def test_password_is_nowhere_when_logged_in(bench: Bench) -> None:
    bench.lm.run("connect", "press")
    process = Path(f"/proc/{bench.lm.agent_pid}")
    secret = PASSWORD.encode()
    seen = [process / "cmdline", process / "environ", *(path for path in bench.lm.home.rglob("*") if path.is_file())]
    assert [path for path in seen if secret in path.read_bytes()] == []
    modes = {path.name: path.stat().st_mode & 0o777 for path in bench.lm.home.iterdir() if path.is_file()}
    own = ("identity.p12", "profile.json", "known_appliances.json", "agent.log", "agent.lock")
    assert {name: modes[name] for name in own} == dict.fromkeys(own, 0o600)
    assert process.joinpath("fd/0").readlink() == Path("/dev/null")
    assert process.joinpath("cwd").readlink() == Path("/")

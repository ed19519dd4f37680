"""The SM's daemon on a real host with a real GM and a real LM: lock, rights, clocks, other people's firewalls."""

from __future__ import annotations

import shutil
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from lab import Lab, knock, wait_until
from lab.products import APPLIANCE, DEVICE, PLC_ADDRESS, SiteManager, System
from lab.rights import has_every_user
from netns.test_sm_network import snapshot

pytestmark = pytest.mark.netns


@pytest.fixture(scope="module")
def system(module_lab: Lab) -> System:
    """Everything up and connected; each test leaves the SM running and unlocked, and no session."""
    return System(module_lab).__enter__()


@pytest.fixture
def sm(system: System) -> Iterator[SiteManager]:
    yield system.sm
    system.lm.run("disconnect", "--all", check=False)
    if system.sm.process is None or system.sm.process.returncode is not None:
        restart(system.sm)
    system.sm.run("unlock")


def restart(sm: SiteManager, *, prefix: tuple[str, ...] = (), env: dict[str, str] | None = None) -> None:
    """A new run of the daemon."""
    sm.start(prefix=prefix, env=env)
    sm.wait_until_connected()


def connect(system: System) -> None:
    """A session to the PLC, which answers."""
    system.lm.run("connect", APPLIANCE)
    assert knock(system.lab.pc, PLC_ADDRESS, 502) == "open"


def refusal(system: System) -> str:
    """What somebody is told who may not connect now."""
    system.lm.run("disconnect", "--all", check=False)
    refused = system.lm.run("connect", APPLIANCE, check=False)
    assert refused.returncode != 0
    return refused.stderr


def has_no_session(system: System) -> bool:
    """Whether the SM has none, and its host nothing of one."""
    links = system.lab.site.run(["ip", "-brief", "link"]).stdout
    return not system.sm.ask("status")["sessions"] and "gls" not in links


def test_session_is_shown_when_it_runs(system: System, sm: SiteManager) -> None:
    connect(system)
    (session,) = sm.ask("status")["sessions"]
    assert session["user"] == "ann"
    assert session["devices"] == [f"plc ({PLC_ADDRESS})"]
    text = sm.run("status").stdout
    assert "ann" in text
    assert PLC_ADDRESS in text


def test_sessions_end_and_stay_away_when_the_owner_locks_and_the_daemon_restarts(
    system: System, sm: SiteManager
) -> None:
    connect(system)
    sm.run("lock")
    wait_until(lambda: has_no_session(system), 2.0, "the end of the session")
    assert sm.process is not None
    sm.process.terminate()
    restart(sm)
    assert "locked at the machine" in refusal(system)
    sm.run("unlock")
    connect(system)


def test_lock_is_kept_when_the_daemon_does_not_run(system: System, sm: SiteManager) -> None:
    assert sm.process is not None
    sm.process.terminate()
    assert "does not run" in sm.run("lock").stderr
    restart(sm)
    assert sm.ask("status")["locked"]
    assert "locked at the machine" in refusal(system)


def test_denied_stays_denied_when_the_hosts_firewall_is_loaded_anew(system: System, sm: SiteManager) -> None:
    connect(system)
    site = system.lab.site
    site.start_module("lab.echo", "--tcp", "8080").wait_for_line("echo listens")
    try:
        assert sm.process is not None
        said = len(sm.process.lines)
        site.run(["nft", "flush", "ruleset"])
        sm.process.wait_for_line("loaded again", after=said)
        assert knock(system.lab.pc, PLC_ADDRESS, 502) == "open"
        system.lab.pc.run(["ip", "route", "replace", "192.168.50.1/32", "dev", "gl0"])
        assert knock(system.lab.pc, "192.168.50.1", 8080) != "open"
        system.lab.site.run(["sh", "-c", "echo 0 > /proc/sys/net/ipv4/ip_forward"])
        system.lab.site.run(["sh", "-c", "echo 1 > /proc/sys/net/ipv4/ip_forward"])
        system.lab.site.run(["sh", "-c", "echo 0 > /proc/sys/net/ipv4/ip_forward"])
        sm.process.wait_for_line("forwarding was off on eth1", after=said)
        wait_until(lambda: knock(system.lab.pc, PLC_ADDRESS, 502) == "open", 5.0, "the PLC")
    finally:
        site.processes[-1].kill9()


def test_machine_side_is_guarded_when_it_appears_during_a_session(system: System, sm: SiteManager) -> None:
    site = system.lab.site
    assert sm.process is not None
    sm.process.terminate()
    sm.run("config", "set", "dev_interfaces", "eth1,eth9")
    restart(sm)
    try:
        said = len(sm.process.lines)
        connect(system)
        assert sm.process is not None
        sm.process.wait_for_line("eth9 does not exist")
        said = len(sm.process.lines)
        site.run(["ip", "link", "add", "eth9", "type", "veth", "peer", "name", "eth10"])
        sm.process.wait_for_line("forwarding was off on eth9", after=said)
        assert 'iifname { "eth1", "eth9" } drop' in site.run(["nft", "list", "ruleset"]).stdout
        system.lm.run("disconnect", "--all")
        wait_until(lambda: has_no_session(system), 5.0, "the end of the session")
        assert site.run(["cat", "/proc/sys/net/ipv4/conf/eth9/forwarding"]).stdout.strip() == "0"
    finally:
        site.run(["ip", "link", "del", "eth9"], check=False)
        sm.process.terminate()
        sm.run("config", "set", "dev_interfaces", "eth1")


def test_daemon_ends_at_once_when_the_name_server_does_not_answer(system: System, sm: SiteManager) -> None:
    if not has_every_user():
        pytest.skip("/etc/netns belongs to root")
    site, plant = system.lab.site, system.lab.plant
    assert sm.process is not None
    sm.process.terminate()
    addresses = sm.run("config", "show").stdout.partition("gm_addresses = ")[2].splitlines()[0]
    etc = Path("/etc/netns") / site.namespace
    etc.mkdir(parents=True, exist_ok=True)
    (etc / "resolv.conf").write_text("nameserver 192.168.50.10\noptions timeout:30\n")
    rules = "table inet deaf { chain input { type filter hook input priority 0; udp dport 53 drop; }\n}\n"
    plant.run(["nft", "-f", "-"], stdin_text=rules)
    queries = plant.start(["tcpdump", "-nl", "--immediate-mode", "-i", "br0", "udp port 53"])
    try:
        queries.wait_for_line("listening on")
        sm.run("config", "set", "gm_addresses", "gm.example")
        sm.start()
        queries.wait_for_line("gm.example")
        assert sm.process.terminate(3.0) == 0
        assert sm.process.lines[-1] == "sm: ended"
    finally:
        queries.terminate()
        plant.run(["nft", "delete", "table", "inet", "deaf"])
        shutil.rmtree(etc)
        sm.run("config", "set", "gm_addresses", addresses)


def test_rules_are_let_alone_when_a_firewall_of_the_owner_changes(system: System, sm: SiteManager) -> None:
    connect(system)
    site = system.lab.site
    site.run(["nft", "add", "table", "inet", "owners"])
    try:
        system.lm.run("disconnect", "--all")
        wait_until(lambda: has_no_session(system), 5.0, "the end of the session")
        rules = site.run(["nft", "list", "ruleset"]).stdout
        assert "table inet owners" in rules
        assert "gls0" not in rules
    finally:
        site.run(["nft", "delete", "table", "inet", "owners"])


def test_session_works_when_the_daemon_has_one_capability_and_no_root(system: System, sm: SiteManager) -> None:
    if not has_every_user():
        pytest.skip("needs a second user, which a user namespace does not have")
    # Where udev runs, anybody may open it (0666), and CAP_NET_ADMIN decides; elsewhere root alone, without its rights.
    user = ("nobody", "nogroup") if Path("/dev/net/tun").stat().st_mode & 0o006 == 0o006 else ("root", "root")
    sm_process = sm.process
    assert sm_process is not None
    sm_process.terminate()
    before = snapshot(system.lab.site)
    _give(sm, *user)
    rights = [f"--{kind}=-all,+net_admin" for kind in ("inh-caps", "ambient-caps", "bounding-set")]
    try:
        restart(sm, prefix=("setpriv", f"--reuid={user[0]}", f"--regid={user[1]}", "--clear-groups", *rights))
        connect(system)
        assert sm.process is not None
        capabilities = Path(f"/proc/{sm.process.pid}/status").read_text()
        assert "CapEff:\t0000000000001000" in capabilities
        sm.process.terminate()
        assert snapshot(system.lab.site) == before
    finally:
        _give(sm, "root", "root")


def test_files_stay_the_daemons_when_root_gives_the_commands(sm: SiteManager) -> None:
    if not has_every_user():
        pytest.skip("needs a second user, which a user namespace does not have")
    # Beside the other's state: everybody may go through the lab's folder, which nobody may below pytest's.
    state = sm.state.parent / "of-nobody"
    state.mkdir()
    shutil.chown(state, "nobody", "nogroup")
    places = ("--state", str(state), "--runtime", str(state / "run"))
    sm.run("lock", *places)
    sm.run("config", "set", "dev_interfaces", "eth1", "--state", str(state))
    assert {path.owner() for path in state.iterdir()} == {"nobody"}
    assert (state / "remote-access").read_text() == "locked\n"


def _give(sm: SiteManager, user: str, group: str) -> None:
    for path in (sm.state, *sm.state.rglob("*")):
        shutil.chown(path, user, group)


@pytest.mark.parametrize("date", ["1970-01-02 00:00:00", "2099-01-01 00:00:00"])
def test_session_works_when_the_clock_of_the_gateway_is_years_off(system: System, sm: SiteManager, date: str) -> None:
    assert sm.process is not None
    sm.process.terminate()
    # Not by the program faketime: it stays between us and the daemon, and keeps our signals.
    (library,) = Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1")
    restart(sm, env={"LD_PRELOAD": str(library), "FAKETIME": f"@{date}"})
    status = sm.ask("status")
    assert status["system_clock_set"] is False
    assert abs(status["now"] - time.time()) < 30
    connect(system)
    (session,) = sm.ask("status")["sessions"]
    assert abs(session["since"] - time.time()) < 30
    sm.process.terminate()


def test_grants_follow_when_services_change_during_a_session(system: System, sm: SiteManager) -> None:
    connect(system)
    plant, pc = system.lab.plant, system.lab.pc
    plant.start_module("lab.echo", "--tcp", "443").wait_for_line("echo listens")
    try:
        assert knock(pc, PLC_ADDRESS, 443) == "refused"
        system.gm.run("services", "add", DEVICE, "https")
        wait_until(lambda: knock(pc, PLC_ADDRESS, 443) == "open", 2.0, "the new service")
        system.gm.run("services", "remove", DEVICE, "https")
        wait_until(lambda: knock(pc, PLC_ADDRESS, 443) == "refused", 2.0, "the service to be gone")
        assert knock(pc, PLC_ADDRESS, 502) == "open"
    finally:
        plant.processes[-1].kill9()


def test_second_daemon_and_cleanup_are_refused_when_one_runs(system: System, sm: SiteManager, tmp_path: Path) -> None:
    connect(system)
    for command in (["run"], ["cleanup"], ["enrol", "--claim", "x"], ["reset", "--yes"]):
        refused = sm.run(*command, check=False)
        assert refused.returncode == 1, command
        assert len(refused.stderr.splitlines()) == 1
    shutil.copytree(sm.state, tmp_path / "copy", ignore=shutil.ignore_patterns("run"))
    refused = sm.run("run", "--state", str(tmp_path / "copy"), "--runtime", str(tmp_path / "run"), check=False)
    assert "runs here already" in refused.stderr
    assert knock(system.lab.pc, PLC_ADDRESS, 502) == "open"


def test_nothing_is_left_when_cleanup_follows_a_kill(system: System, sm: SiteManager) -> None:
    assert sm.process is not None
    sm.process.terminate()
    before = snapshot(system.lab.site)
    restart(sm)
    connect(system)
    sm.kill9()
    assert snapshot(system.lab.site) != before
    sm.run("cleanup")
    assert snapshot(system.lab.site) == before


class Stranger:
    """A unit that is nobody yet."""

    def __init__(self, lab: Lab, directory: Path) -> None:
        self.place = lab.site
        self.places = ["--state", str(directory / "state")]

    def sm(self, *arguments: str, stdin_text: str | None = None) -> tuple[int, str]:
        """Run a command; its status and what it said."""
        argv = [str(Path(sys.executable).parent / "sm"), *arguments, *self.places]
        done = self.place.run(argv, check=False, stdin_text=stdin_text)
        return done.returncode, done.stderr + done.stdout


@pytest.fixture
def stranger(module_lab: Lab, tmp_path: Path) -> Stranger:
    return Stranger(module_lab, tmp_path)


def test_claim_is_redeemed_once_when_two_units_have_it(system: System, stranger: Stranger, tmp_path: Path) -> None:
    claim = system.gm.claim(name="second")
    code, said = stranger.sm("enrol", "--claim", claim)
    assert code == 0, said
    assert "enrolled as second" in said
    code, said = stranger.sm("enrol", "--claim", claim)
    assert code == 1
    assert "enrolled already" in said
    assert stranger.sm("reset", "--yes")[0] == 0
    code, said = stranger.sm("enrol", "--claim-file", "-", stdin_text=claim)
    assert code == 1, said
    assert "claim" in said
    assert not (tmp_path / "state" / "identity.pem").exists()


def test_unit_is_adopted_when_it_trusts_on_first_use(system: System, stranger: Stranger) -> None:
    code, said = stranger.sm("enrol", "--gm", "203.0.113.10")
    assert code == 0, said
    assert "first contact without a claim" in said
    waiting = said.split("adopted as ")[1].split(";")[0]
    system.gm.run("appliances", "adopt", waiting, "--domain", "acme/line3", "--name", "adopted")
    code, said = stranger.sm("enrol", "--gm", "203.0.113.10", "--wait")
    assert (code, "enrolled as adopted" in said) == (0, True), said


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["enrol", "--claim", "nonsense"], "this is no claim"),
        (["enrol", "--claim", "gli1_AAAA"], "a SiteManager takes a claim"),
        (["enrol", "--claim-file", "/no/such/file"], "cannot read the claim"),
        (["enrol", "--gm", "http://x"], "host name or IP address"),
        (["enrol", "--gm", "192.0.2.77"], "no way to the GateManager"),
        (["reset"], "sm reset --yes"),
        (["config", "set", "nothing", "1"], "unknown key"),
        (["config", "set", "ports", "http"], "ports"),
        (["config", "set", "dev_interfaces", "gls0"], "cannot be the machine side"),
    ],
)
def test_wrong_input_is_told_in_one_line_when_typed(
    stranger: Stranger, tmp_path: Path, arguments: list[str], words: str
) -> None:
    code, said = stranger.sm(*arguments)
    assert code == 1
    assert words in said
    assert len(said.splitlines()) == 1
    assert not (tmp_path / "state" / "identity.pem").exists()


def test_damaged_files_are_told_in_one_line_when_the_daemon_starts(
    system: System, stranger: Stranger, tmp_path: Path
) -> None:
    claim = system.gm.claim(name="third")
    assert stranger.sm("enrol", "--claim", claim)[0] == 0
    (tmp_path / "state" / "identity.pem").write_text("nonsense")
    code, said = stranger.sm("run", "--runtime", str(tmp_path / "run"))
    assert code == 1
    assert said.splitlines()[-1].startswith("sm: error:")
    (tmp_path / "state" / "config.toml").write_text("ports = 5\nx = 1\n")
    code, said = stranger.sm("config", "check")
    assert (code, len(said.splitlines())) == (1, 2)

"""`./lab` as people use it: up in one terminal, changed from another, after a crash, as an ordinary user."""

from __future__ import annotations

import os
import shlex
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from lab import Lab, LabInUse, Process, rights

pytestmark = [
    pytest.mark.netns,
    pytest.mark.skipif(not rights.has_every_user(), reason="plays both root and an ordinary user: needs the real root"),
]

_ROOT = Path(__file__).resolve().parents[2]
_PREFIX = os.environ.get("GATELINK_LAB_PREFIX", "glt") + "c"
_ENVIRONMENT = {**os.environ, "GATELINK_LAB_PREFIX": _PREFIX}


def command(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([_ROOT / "lab", *words], env=_ENVIRONMENT, capture_output=True, text=True, timeout=30)


@pytest.fixture(scope="module")
def terminal(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Process]:
    """A terminal in which `./lab up` runs."""
    process = Process(
        "./lab up", [str(_ROOT / "lab"), "up", "--bare"], tmp_path_factory.mktemp("up") / "log", _ENVIRONMENT
    )
    process.wait_for_line("The lab is up; Ctrl-C takes it down")
    try:
        yield process
    finally:
        process.terminate()


def test_commands_run_in_their_places(terminal: Process) -> None:
    assert command("exec", "pc", "--", "ping", "-c1", "203.0.113.10").returncode == 0
    assert command("exec", "site", "--", "sh", "-c", "exit 9").returncode == 9


def test_lines_are_changed_from_another_terminal(terminal: Process) -> None:
    assert command("line", "pc-office", "delay", "10").returncode == 0
    assert command("line", "pc-office", "loss", "0.5").returncode == 0
    status = command("status").stdout
    assert "loss_percent 0.5, delay_ms 10" in status
    assert command("line", "pc-office", "clear").returncode == 0
    assert "delay_ms" not in command("status").stdout


def test_cut_is_undone_by_mend(terminal: Process) -> None:
    once = ("exec", "site", "--", "ping", "-c1", "192.168.50.10")
    assert command(*once).returncode == 0
    assert command("line", "site-plant", "cut").returncode == 0
    assert command(*once, "-W0.3").returncode == 1
    assert command("line", "site-plant", "mend").returncode == 0
    assert command(*once).returncode == 0


def test_ports_are_closed_from_another_terminal(terminal: Process) -> None:
    assert command("ports", "factory", "block", "11444", "443", "--reject").returncode == 0
    assert "closed (reject): 11444, 443" in command("status").stdout
    assert command("ports", "factory", "only-proxy").returncode == 0
    assert "only the proxy is open" in command("status").stdout
    assert command("ports", "factory", "open").returncode == 0


def test_places_are_added_from_another_terminal(terminal: Process) -> None:
    assert command("add", "pc").stdout == "added pc2\n"
    assert command("add", "site", "--network", "10.9.0.0/24").stdout == "added site2, plant2\n"
    assert command("add", "host", "plant2").stdout == "added plant2-b\n"
    assert command("exec", "plant2-b", "--", "ping", "-c1", "10.9.0.1").returncode == 0


@pytest.mark.parametrize(
    ("words", "status", "said"),
    [
        ("up", 1, r"in use by process"),
        ("down", 1, r"in use by process"),
        ("exec moon -- ls", 1, r"no place 'moon'"),
        ("line pc-office rate", 1, r"expected a number of Mbit/s, nothing was given"),
        ("line pc-office rate fast", 1, r"expected a number of Mbit/s, 'fast' was given"),
        ("line pc-office rate 0", 1, r"rate 0 Mbit/s: expected 0.01 to 100000"),
        ("line pc-office delay -5", 1, r"delay -5 ms: expected 0 to 10000"),
        ("line pc-office cut 5", 1, r"cut takes no value"),
        ("line pc-office melt", 2, r"invalid choice: 'melt'"),
        ("line moon-earth cut", 1, r"no line 'moon-earth'"),
        ("ports factory block", 1, r"block needs at least one port"),
        ("ports factory block 70000", 2, r"'70000' is no port: expected 1 to 65535"),
        ("ports factory open 443", 1, r"open takes no port"),
        ("ports pc open", 1, r"no firewall 'pc'"),
        ("add moon", 2, r"invalid choice: 'moon'"),
        ("add site --network 1.2.3", 1, r"plant network '1.2.3'"),
        ("", 2, r"COMMAND"),
    ],
)
def test_error_is_one_line(terminal: Process, words: str, status: int, said: str) -> None:
    done = command(*words.split())
    assert (done.returncode, done.stdout) == (status, "")
    assert done.stderr.count("\n") == 1
    assert done.stderr.startswith("lab: ")
    assert said in done.stderr


def test_what_a_crash_left_is_removed_at_the_next_start(tmp_path: Path) -> None:
    prefix = f"{_PREFIX}k"
    environment = {**os.environ, "GATELINK_LAB_PREFIX": prefix}
    crashed = Process("./lab up", [str(_ROOT / "lab"), "up", "--bare"], tmp_path / "log", environment)
    crashed.wait_for_line("The lab is up")
    with pytest.raises(LabInUse, match=f"in use by process {crashed.pid};"):
        Lab(prefix).up()
    stray = Process(
        "stray", ["ip", "netns", "exec", f"{prefix}-plant", "sleep", "1000"], tmp_path / "stray", environment
    )
    subprocess.run([_ROOT / "lab", "line", "site-plant", "delay", "5"], env=environment, check=True)
    crashed.kill9()
    assert Path(f"/run/netns/{prefix}-plant").exists()
    with Lab(prefix) as lab:
        assert stray.wait() == -signal.SIGKILL
        assert lab.line("site-plant").condition.delay_ms == 0
    assert not list(Path("/run/netns").glob(f"{prefix}-*"))
    stray.forget()
    crashed.forget()


def test_down_removes_what_a_crash_left(tmp_path: Path) -> None:
    crashed = Process(
        "./lab up",
        [str(_ROOT / "lab"), "up", "--bare"],
        tmp_path / "log",
        {**os.environ, "GATELINK_LAB_PREFIX": f"{_PREFIX}d"},
    )
    crashed.wait_for_line("The lab is up")
    crashed.kill9()
    crashed.forget()
    assert f"{_PREFIX}d-plant" in [path.name for path in Path("/run/netns").iterdir()]
    assert len(Lab.clean(f"{_PREFIX}d")) == 7
    assert Lab.clean(f"{_PREFIX}d") == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_nothing_is_left_when_up_is_ended(tmp_path: Path, number: signal.Signals) -> None:
    prefix = f"{_PREFIX}s"
    environment = {**os.environ, "GATELINK_LAB_PREFIX": prefix}
    process = Process("./lab up", [str(_ROOT / "lab"), "up", "--bare"], tmp_path / "log", environment)
    process.wait_for_line("The lab is up")
    process.signal(number)
    assert process.wait() == 0
    assert process.lines[-1] == "The lab is down; nothing is left."
    assert not list(Path("/run/netns").glob(f"{prefix}-*"))
    assert not list(Path("/run/gatelink-lab").glob(f"{prefix}*"))


@pytest.fixture
def ordinary_user(tmp_path: Path) -> Iterator[Path]:
    """A directory of uid 65534's own, with the tree mounted on `tree` in it (see `as_ordinary_user`)."""
    directory = Path(tempfile.mkdtemp(prefix="gatelink-lab-test-", dir="/tmp"))
    (directory / "tree").mkdir()
    (directory / "run").mkdir()
    os.chown(directory / "run", 65534, 65534)
    directory.chmod(0o755)
    try:
        yield directory
    finally:
        shutil.rmtree(directory)


def as_ordinary_user(directory: Path, tun_mode: str, script: str) -> list[str]:
    """The command line that runs a script as uid 65534, in a mount namespace with a /dev/net/tun of its own."""
    environment = f"XDG_RUNTIME_DIR={directory}/run GATELINK_LAB_PREFIX={_PREFIX}u PATH=/usr/local/bin:/usr/bin:/bin"
    steps = (
        "mount -t tmpfs none /dev/net",
        f"mknod -m {tun_mode} /dev/net/tun c 10 200",
        f"mount --bind {_ROOT} {directory}/tree",
        f"cd {directory}/tree",
        "exec setpriv --reuid=65534 --regid=65534 --clear-groups --inh-caps=-all -- "
        f"env -i {environment} sh -c {shlex.quote(script)}",
    )
    return ["unshare", "--mount", "--", "sh", "-euc", "; ".join(steps)]


def test_ordinary_user_is_told_when_tun_is_closed_to_him(ordinary_user: Path) -> None:
    done = subprocess.run(as_ordinary_user(ordinary_user, "0600", "./lab up"), capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.count("\n") == 1
    assert "/dev/net/tun cannot be opened for reading and writing" in done.stderr
    assert "chmod 0666" in done.stderr


def test_ordinary_user_has_a_lab_in_a_user_namespace(ordinary_user: Path, tmp_path: Path) -> None:
    up = Process(
        "./lab up", as_ordinary_user(ordinary_user, "0666", "exec ./lab up --bare"), tmp_path / "log", os.environ
    )
    try:
        up.wait_for_line("The lab is up")

        def from_another_terminal(script: str) -> str:
            argv = as_ordinary_user(ordinary_user, "0666", script)
            done = subprocess.run(argv, capture_output=True, text=True)
            assert done.returncode == 0, done.stderr
            return done.stdout

        assert "1 received" in from_another_terminal("./lab exec pc -- ping -c1 203.0.113.10")
        assert "gl0" in from_another_terminal("./lab exec pc -- sh -c 'ip tuntap add gl0 mode tap; ip link show gl0'")
        assert from_another_terminal("./lab line site-plant delay 10; ./lab add pc") == "added pc2\n"
        assert "delay_ms 10" in from_another_terminal("./lab status")
        assert not list(Path("/run/netns").glob(f"{_PREFIX}u-*"))
        assert up.terminate() == 0
        assert up.lines[-1] == "The lab is down; nothing is left."
    finally:
        up.kill9()
        up.forget()


def test_ordinary_users_lab_ends_with_its_first_process(ordinary_user: Path, tmp_path: Path) -> None:
    up = Process(
        "./lab up", as_ordinary_user(ordinary_user, "0666", "exec ./lab up --bare"), tmp_path / "log", os.environ
    )
    up.wait_for_line("The lab is up")
    up.kill9()
    up.forget()  # returns once nobody holds the log open any more: everything has ended
    again = Process(
        "./lab up", as_ordinary_user(ordinary_user, "0666", "exec ./lab up --bare"), tmp_path / "log2", os.environ
    )
    again.wait_for_line("The lab is up")
    assert again.terminate() == 0
    again.forget()


def test_command_runs_with_the_labs_rights(ordinary_user: Path) -> None:
    script = "./lab rights -- sh -c 'id -u; ip netns add one; ip netns add two; ip netns list; exit 5'"
    done = subprocess.run(as_ordinary_user(ordinary_user, "0666", script), capture_output=True, text=True)
    assert (done.returncode, sorted(done.stdout.split())) == (5, ["0", "one", "two"])

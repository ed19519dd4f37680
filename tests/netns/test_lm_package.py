"""The Debian package: built, installed into a Debian that has nothing else, used, removed; nothing of it is left."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from lab import MissingRights
from lab.rights import has_every_user, is_root
from netns.systemd_pc import SystemdPc

pytestmark = [pytest.mark.netns, pytest.mark.slow, pytest.mark.timeout(900)]
TREE = Path(__file__).resolve().parents[2]
BASE = TREE / "build" / "debian" / "systemd.tar"
# What Debian calls essential, what the package depends on, and what starts services: whatever else it needs is missed.
_PACKAGES = "python3,iproute2,passwd,systemd"
_UNREAD = ("doc", "man", "locale")
# In namespaces that go with the shell: $1 an empty directory, $2 the package, $3 what is done inside, $4 the base.
_INSIDE = """
set -e
mount -t tmpfs tmpfs "$1"
mkdir "$1/root"
tar --extract --file "$4" --directory "$1/root"
mount -t proc proc "$1/root/proc"
mount --rbind /dev "$1/root/dev"
cp "$2" "$1/root/tmp/lm.deb"
chroot "$1/root" /bin/sh -c "$3"
chroot "$1/root" dpkg --install /tmp/lm.deb >/dev/null
cp --no-clobber /lib/systemd/system/*.target "$1/root/lib/systemd/system/"
systemd-analyze verify --man=no --root="$1/root" gatelink-lm.service && echo unit is good
"""


@pytest.fixture(scope="module")
def debian() -> Path:
    """A Debian as a tar file; made once in a tree (about half a minute)."""
    if not is_root() or not has_every_user():
        pytest.skip("an ordinary user has no second user to install a package as")
    if not BASE.exists():
        BASE.parent.mkdir(parents=True, exist_ok=True)
        partial = BASE.with_suffix(".partial.tar")
        leaving_out = [f"--dpkgopt=path-exclude=/usr/share/{name}/*" for name in _UNREAD]
        argv = ["mmdebstrap", "--quiet", "--variant=essential", f"--include={_PACKAGES}"]
        argv += ["--dpkgopt=force-unsafe-io", *leaving_out, "bookworm", str(partial)]
        subprocess.run(argv, check=True, timeout=800)
        partial.rename(BASE)
    return BASE


@pytest.fixture(scope="module")
def package() -> Path:
    done = subprocess.run(
        [sys.executable, TREE / "tools" / "deb_lm.py"], capture_output=True, text=True, check=True, timeout=150
    )
    return Path(done.stdout.split()[0])


def _inside(directory: Path, package: Path, script: str, base: Path) -> str:
    argv = ["unshare", "--mount", "--pid", "--net", "--fork", "sh", "-c", _INSIDE, "sh"]
    argv += [str(directory), str(package), script, str(base)]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=300, env={"PATH": os.environ["PATH"]})
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_package_is_installed_used_and_removed_without_a_trace(package: Path, debian: Path, tmp_path: Path) -> None:
    script = """
    set -e
    cd /
    echo '127.0.0.1 localhost' >/etc/hosts
    list() { find / -xdev ! -path '/proc/*' ! -path '/dev/*' ! -path '/tmp/*' ! -path '/etc/*-' \\
        ! -path '/var/lib/dpkg/*' ! -path '/var/log/*' | sort; cat /etc/passwd /etc/group /etc/hosts; }
    list > /tmp/before
    dpkg --install /tmp/lm.deb >/dev/null
    getent group gatelink
    /usr/bin/lm --version
    env -i HOME=/tmp/user PATH=/usr/bin /usr/bin/lm tree 2>&1 || true
    env -i HOME=/tmp/user PATH=/usr/bin /usr/bin/lm ui --print
    export GATELINK_LM_HOME=/tmp/second
    printf '[link]\\nports = [1]\\n' | install -D /dev/stdin /tmp/second/config.toml
    echo 'a long password' | /usr/bin/lm login --gm 127.0.0.1 --user ann --password-stdin 2>&1 || true
    unset GATELINK_LM_HOME
    env -i HOME=/tmp/user PATH=/usr/bin _LM_COMPLETE=bash_complete COMP_WORDS='lm disc' COMP_CWORD=1 /usr/bin/lm
    timeout 5 /usr/bin/lm service --socket /tmp/service.sock 2>&1 || true
    dpkg --remove gatelink-lm >/dev/null
    command -v lm || echo no command
    dpkg --purge gatelink-lm >/dev/null
    getent group gatelink || echo no group
    list > /tmp/after
    diff /tmp/before /tmp/after && echo nothing is left
    """
    lines = _inside(tmp_path, package, script, debian).splitlines()
    assert lines[0].startswith("gatelink:x:")
    assert lines[1] == "lm 0.1.0"
    assert "not logged in: use `lm login`" in lines[2]
    assert lines[3].startswith("http://127.0.0.1:")
    assert lines[4].startswith("lm: cannot reach 127.0.0.1:1")  # said by the agent, a program of its own
    assert "plain,disconnect" in lines
    assert "lm service: listening on /tmp/service.sock" in lines
    assert lines[-4:] == ["no command", "no group", "nothing is left", "unit is good"]


def test_package_holds_what_a_desktop_needs(package: Path) -> None:
    listed = subprocess.run(["dpkg-deb", "-c", package], capture_output=True, text=True, check=True).stdout
    for place in (
        "usr/bin/lm",
        "usr/lib/systemd/system/gatelink-lm.service",
        "usr/share/applications/gatelink-lm.desktop",
        "usr/lib/gatelink-lm/lm_client/page/static/page.js",
        "usr/lib/gatelink-lm/lm_client/page/templates/machines.html",
    ):
        assert f" ./{place}\n" in listed
    owners = {line.split()[1] for line in listed.splitlines()}
    assert owners == {"root/root"}
    assert not [line for line in listed.splitlines() if line.startswith("-rws")]
    control = subprocess.run(["dpkg-deb", "-f", package, "Depends"], capture_output=True, text=True, check=True).stdout
    assert "iproute2" in control


def test_same_tree_makes_the_same_package(package: Path) -> None:
    before = package.read_bytes()
    subprocess.run([sys.executable, TREE / "tools" / "deb_lm.py"], capture_output=True, check=True, timeout=150)
    assert package.read_bytes() == before


# A tunnel through the installed package's own code, as an ordinary user: held until standard input ends.
_TUNNEL = """
import subprocess, sys
sys.path.insert(0, "/usr/lib/gatelink-lm")
from pathlib import Path
from gatelink.messages import TunnelAddresses
from lm_client.agent.adapter import Plan, open_adapter
from lm_client.config import DEFAULT_SOCKET
plan = Plan(("192.168.50.10",), (), {"plc.press.acme.gatelink": "192.168.50.10"})
adapter = open_adapter(Path(DEFAULT_SOCKET), "press", TunnelAddresses("198.18.0.2", "198.18.0.1"), plan)
print("open", flush=True)
sys.stdin.read()
adapter.close()
"""
_SERVICE = """
dpkg --install /root/lm.deb >/dev/null
useradd --create-home --groups gatelink ann
useradd --create-home bob
cp /root/tunnel.py /home
wait_for() { n=0; until "$@"; do n=$((n+1)); test $n -lt 1200; sleep 0.1; done; }
main() { systemctl show --property=MainPID --value gatelink-lm; }
state() { systemctl show --property=NRestarts --property=SubState --value gatelink-lm | tr '\\n' ' '; }
is_back() { test "$(state)" = "1 running " && test -S /run/gatelink-lm/service.sock; }
wait_for test -S /run/gatelink-lm/service.sock
systemctl is-enabled gatelink-lm
systemctl is-active gatelink-lm
stat --format='%A %U %n' /run/gatelink-lm /run/gatelink-lm/service.sock
grep -E '^(CapEff|NoNewPrivs|Seccomp):' /proc/$(main)/status | tr '\t' ' '
su bob -c 'python3 -I /home/tunnel.py </dev/null' 2>&1 | grep -o 'may not have tunnels: .* gatelink,'
mkfifo /tmp/hold
su ann -c 'python3 -I /home/tunnel.py' </tmp/hold >/tmp/ann 2>&1 &
exec 3>/tmp/hold
wait_for grep -q open /tmp/ann
ip -4 route
grep plc /etc/hosts
kill -9 $(main)
wait_for is_back
echo killed
ip -4 route
cat /etc/hosts
exec 3>&-
wait
su ann -c 'python3 -I /home/tunnel.py </dev/null'
dpkg --purge gatelink-lm >/dev/null 2>&1
systemctl is-active gatelink-lm || true
ls -d /run/gatelink-lm 2>/dev/null || echo nothing
systemctl is-failed gatelink-lm || true
"""


def test_systemd_starts_the_service_and_starts_it_again(package: Path, debian: Path, tmp_path: Path) -> None:
    try:
        pc = SystemdPc(tmp_path, debian)
        stack = contextlib.ExitStack()
        stack.enter_context(pc)
    except MissingRights as error:
        pytest.skip(str(error))
    with stack:
        shutil.copyfile(package, pc.root / "root/lm.deb")
        (pc.root / "root/tunnel.py").write_text(_TUNNEL)
        lines = [" ".join(line.split()) for line in pc.run(_SERVICE).splitlines()]
    assert lines == [
        "enabled",
        "active",
        "drwxr-xr-x root /run/gatelink-lm",
        "srw-rw-rw- root /run/gatelink-lm/service.sock",
        "CapEff: 0000000000001000",  # CAP_NET_ADMIN
        "NoNewPrivs: 1",
        "Seccomp: 2",
        "may not have tunnels: add the user to the group gatelink,",
        "192.168.50.10 via 198.18.0.1 dev gl0",
        "198.18.0.1 dev gl0 proto kernel scope link src 198.18.0.2",
        "192.168.50.10 plc.press.acme.gatelink",
        "killed",
        "127.0.0.1 localhost",
        "open",
        "inactive",
        "nothing",
        "inactive",
    ]

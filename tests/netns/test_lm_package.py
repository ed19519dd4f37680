"""The Debian package: built, installed into a Debian that has nothing else, used, removed; nothing of it is left."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from lab.rights import has_every_user, is_root

pytestmark = [pytest.mark.netns, pytest.mark.slow, pytest.mark.timeout(900)]
TREE = Path(__file__).resolve().parents[2]
BASE = TREE / "build" / "debian" / "base.tar"
# What Debian calls essential, and what the package depends on: whatever else it needs is missed here.
_PACKAGES = "python3,iproute2,passwd"
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

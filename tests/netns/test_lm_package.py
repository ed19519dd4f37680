"""The Debian package: built, installed into a copy of this system, used, removed; nothing of it is left."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from lab.rights import has_every_user, is_root

pytestmark = [pytest.mark.netns, pytest.mark.slow]
TREE = Path(__file__).resolve().parents[2]
# The running system's / with a layer above it that takes every change, in a mount namespace that goes with the shell.
_INSIDE = """
set -e
mount -t tmpfs tmpfs "$1"
mkdir "$1/upper" "$1/work" "$1/root"
mount -t overlay overlay -o "lowerdir=/,upperdir=$1/upper,workdir=$1/work" "$1/root"
mount -t proc proc "$1/root/proc"
mount --rbind /dev "$1/root/dev"
mkdir -p "$1/root/tmp/deb"
cp "$2" "$1/root/tmp/deb/lm.deb"
exec chroot "$1/root" /bin/sh -c "$3"
"""


@pytest.fixture(scope="module")
def package() -> Path:
    done = subprocess.run(
        [sys.executable, TREE / "tools" / "deb_lm.py"], capture_output=True, text=True, check=True, timeout=150
    )
    return Path(done.stdout.split()[0])


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    if not is_root() or not has_every_user():
        pytest.skip("an ordinary user has no second user to install a package as")
    return tmp_path


def _inside(directory: Path, package: Path, script: str) -> str:
    argv = ["unshare", "--mount", "--pid", "--fork", "sh", "-c", _INSIDE, "sh", str(directory), str(package), script]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=150, env={"PATH": os.environ["PATH"]})
    if done.returncode == 32 or "mount:" in done.stderr:
        pytest.skip(f"no overlay of / can be mounted here: {done.stderr.splitlines()[-1]}")
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_package_is_installed_used_and_removed_without_a_trace(package: Path, directory: Path) -> None:
    script = """
    set -e
    cd /
    list() { find /etc /usr /var/lib/systemd /opt -xdev ! -path '/usr/share/mime*' ! -path '/etc/*-' | sort; }
    list > /tmp/before
    dpkg --install /tmp/deb/lm.deb >/dev/null
    getent group gatelink
    /usr/bin/lm --version
    env -i HOME=/tmp/user PATH=/usr/bin /usr/bin/lm tree 2>&1 || true
    env -i HOME=/tmp/user PATH=/usr/bin _LM_COMPLETE=bash_complete COMP_WORDS='lm disc' COMP_CWORD=1 /usr/bin/lm
    timeout 2 /usr/bin/lm service --socket /tmp/service.sock 2>&1 || true
    dpkg --remove gatelink-lm >/dev/null
    dpkg --purge gatelink-lm >/dev/null
    getent group gatelink || echo no group
    list > /tmp/after
    diff /tmp/before /tmp/after && echo nothing is left
    """
    lines = _inside(directory, package, script).splitlines()
    assert lines[0].startswith("gatelink:x:")
    assert lines[1] == "lm 0.1.0"
    assert "not logged in: use `lm login`" in lines[2]
    assert "plain,disconnect" in lines
    assert "lm service: listening on /tmp/service.sock" in lines
    assert lines[-2:] == ["no group", "nothing is left"]


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

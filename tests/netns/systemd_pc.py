"""A PC whose first process is a systemd: an unpacked Debian in namespaces and control groups of its own."""

from __future__ import annotations

import contextlib
import os
import secrets
import subprocess
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from lab import MissingRights, wait_until

_DEADLINE_S: Final = 400.0
_ENVIRONMENT: Final = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/root", "LC_ALL": "C.UTF-8"}
# $1 an empty directory, $2 the Debian, $3 where the console is, then the control groups to be in.
_BOOT: Final = """
set -e
root=$1/root debian=$2 console=$3
shift 3
for group in "$@"; do echo $$ >"$group/cgroup.procs"; done
exec unshare --mount --pid --net --uts --ipc --cgroup --fork --kill-child sh -e -c '
root=$0
mount -t tmpfs tmpfs "${root%/root}"
mkdir "$root"
mount -t tmpfs tmpfs "$root"
tar --extract --file "$1" --directory "$root"
mount -t proc proc "$root/proc"
mount -t sysfs sysfs "$root/sys"
mount -t tmpfs tmpfs "$root/dev"
mount -t tmpfs tmpfs "$root/run"
mkdir "$root/dev/net" "$root/dev/shm"
for device in null zero full random urandom tty net/tun; do
    touch "$root/dev/$device"
    mount --bind "/dev/$device" "$root/dev/$device"
done
touch "$root/dev/console"
mount --bind "$2" "$root/dev/console"
mount -t tmpfs -o mode=755 tmpfs "$root/sys/fs/cgroup"
if grep -q "^[1-9].*:name=systemd:" /proc/self/cgroup; then
    for name in systemd devices memory pids; do
        mkdir "$root/sys/fs/cgroup/$name"
        option=$name
        test $name != systemd || option=none,name=systemd
        mount -t cgroup -o $option cgroup "$root/sys/fs/cgroup/$name"
    done
else
    mount -t cgroup2 cgroup2 "$root/sys/fs/cgroup"
fi
echo "127.0.0.1 localhost" >"$root/etc/hosts"
: >"$root/etc/machine-id"
ip link set lo up
cd "$root"
mkdir old
pivot_root . old
umount --lazy /old
exec env -i container=gatelink PATH=/usr/sbin:/usr/bin:/sbin:/bin /lib/systemd/systemd --log-target=console \\
    --show-status=0 --unit=basic.target </dev/null >/dev/console 2>&1
' "$root" "$debian" "$console"
"""


class SystemdPc:
    """Started by ``with``. Raises MissingRights; AssertionError, with what its console says, if it does not come up."""

    def __init__(self, directory: Path, debian: Path) -> None:
        self._directory = directory / "pc"
        self._debian = debian
        self._console = directory / "console"
        self._groups = list(_new_groups())
        self._process: subprocess.Popen[bytes] | None = None
        self._first = 0

    def __enter__(self) -> Self:
        self._directory.mkdir()
        self._console.write_text("")
        try:
            for group in self._groups:
                group.mkdir()
        except OSError as error:
            self._end()
            raise MissingRights(f"a systemd needs control groups of its own: {error}") from None
        argv = ["sh", "-c", _BOOT, "sh", self._directory, self._debian, self._console, *self._groups]
        with self._console.open("ab") as console:
            self._process = subprocess.Popen(list(map(str, argv)), stderr=subprocess.STDOUT, stdout=console)
        try:
            wait_until(self._is_up, _DEADLINE_S, "systemd to be up")
        except BaseException as error:
            self._end()
            raise AssertionError(f"no systemd: {error}; its console:\n{self._console.read_text()}") from error
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end()

    @property
    def root(self) -> Path:
        """Its files."""
        return Path(f"/proc/{self._first}/root")

    def run(self, script: str, *, check: bool = True) -> str:
        """Run a shell script as its root, and return what it says."""
        argv = ["nsenter", f"--target={self._first}", "--all", "sh", "-e", "-c", script]
        done = subprocess.run(argv, capture_output=True, text=True, timeout=_DEADLINE_S, env=_ENVIRONMENT)
        assert not check or done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def _is_up(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, "it ended"
        children = Path(f"/proc/{self._process.pid}/task/{self._process.pid}/children").read_text().split()
        if not children:
            return False
        self._first = int(children[0])
        if not Path(f"/proc/{self._first}/comm").read_text().startswith("systemd"):
            return False
        return self.run("systemctl is-system-running", check=False).strip() in ("running", "degraded")

    def _end(self) -> None:
        if self._process is not None:
            self._process.kill()  # and by --kill-child whatever was in it
            self._process.wait(_DEADLINE_S)
        for group in self._groups:
            wait_until(lambda group=group: _is_gone(group), _DEADLINE_S, f"{group} to be empty")  # type: ignore[misc]


def _new_groups() -> Iterator[Path]:
    """Yield a group of its own below this process's in each hierarchy that systemd needs."""
    name = f"gatelink-{secrets.token_hex(4)}"
    lines = [line.split(":", 2) for line in Path("/proc/self/cgroup").read_text().splitlines()]
    has_first_version = any(names == "name=systemd" for _, names, _ in lines)
    mounts = [line.split() for line in Path("/proc/self/mountinfo").read_text().splitlines()]
    for _, names, path in lines:
        if has_first_version and names not in ("name=systemd", "devices", "memory", "pids"):
            continue
        for fields in mounts:
            kind, options = fields[fields.index("-") + 1], fields[-1].split(",")
            if kind == ("cgroup" if names else "cgroup2") and (not names or names in options):
                yield Path(fields[4]) / os.path.relpath(path, fields[3]) / name
                break


def _is_gone(group: Path) -> bool:
    for below in sorted(group.rglob("*"), key=lambda path: len(path.parts), reverse=True):
        if below.is_dir():
            with contextlib.suppress(OSError):
                below.rmdir()
    with contextlib.suppress(OSError):
        group.rmdir()
    return not group.exists()

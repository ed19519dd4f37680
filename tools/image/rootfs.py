"""The root file system: packages, wheels, our distributions, the overlay that Buildroot's image has as well."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from . import wheels
from .board import DebianBoard
from .places import BOARDS, EPOCH_S, GUARD, OVERLAY, ROOT, USERS
from .programs import run

_LINKS: Final = {name: f"usr/{name}" for name in ("bin", "sbin", "lib", "lib64")}
_DIRECTORIES: Final = ("dev", "proc", "sys", "run", "tmp", "data", "etc", "root", "var/lib", "boot", "mnt")
_VAR: Final = {
    "run": "/run", "log": "/run/log", "tmp": "../tmp", "lock": "/run/lock", "lib/gatelink-sm": "/data/sm",
}  # fmt: skip
_USELESS: Final = (
    "usr/share/doc", "usr/share/man", "usr/share/locale", "usr/share/lintian", "usr/share/info",
    "usr/share/bash-completion", "usr/share/bug", "usr/share/zsh", "usr/share/perl5",
    "usr/share/initramfs-tools", "usr/share/polkit-1", "usr/lib/systemd", "usr/lib/binfmt.d",
    "usr/lib/sysusers.d", "usr/lib/tmpfiles.d", "usr/lib/mime", "usr/lib/sasl2", "usr/lib/udev",
    "usr/share/gdb", "usr/share/glib-2.0", "usr/lib/valgrind", "etc/init.d", "etc/systemd", "etc/cron.d",
    "etc/cron.daily", "etc/apparmor.d", "etc/default", "etc/pam.d", "var/cache", "usr/include",
    "usr/lib/python3.13/ensurepip", "usr/lib/python3.13/idlelib", "usr/lib/python3.13/lib2to3",
    "usr/lib/python3.13/pydoc_data", "usr/lib/python3.13/tkinter", "usr/lib/python3.13/turtledemo",
    "usr/lib/python3.13/test", "usr/lib/python3.13/curses", "usr/lib/python3.13/_pyrepl",
    "usr/lib/python3.13/dbm", "usr/lib/aarch64-linux-gnu/gconv", "usr/lib/locale", "usr/share/i18n",
    "usr/share/zoneinfo", "usr/share/xml",
)  # fmt: skip
_PRODUCTS: Final = (ROOT / "gatelink" / "gatelink", ROOT / "firmware" / "sitemanager")
SITE: Final = Path("usr/lib/python3/dist-packages")
_LAUNCHER: Final = """\
#!/usr/bin/python3 -IS
import sys
sys.path.append("/usr/lib/python3/dist-packages")
from sitemanager.cli import main
sys.exit(main())
"""


def unpack(files: Iterable[Path], directory: Path) -> None:
    """Unpack Debian packages into a merged-/usr directory. Raises ImageError."""
    directory.mkdir(parents=True)
    for name, target in _LINKS.items():
        (directory / target).mkdir(parents=True)
        (directory / name).symlink_to(target)
    for file in files:
        run(["dpkg-deb", "--extract", file, directory])


def trim(root: Path, programs: Iterable[str], remove: Iterable[str]) -> None:
    """Leave out what a gateway does not need, add links to BusyBox and the wheels. Raises ImageError."""
    for name in _USELESS:
        shutil.rmtree(root / name, ignore_errors=True)
    for path in [path for pattern in remove for path in root.glob(pattern)]:
        shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
    for name in _DIRECTORIES:
        (root / name).mkdir(parents=True, exist_ok=True)
    for name, target in _VAR.items():
        _link(root / "var" / name, target)
    (root / "tmp").chmod(0o1777)
    _busybox(root, programs)
    _link(root / "usr/bin/python3", "python3.13")
    for wheel in wheels.fetch():
        wheels.unpack(wheel, root / SITE)


def furnish(root: Path, board: DebianBoard, version: str, keyring: Path) -> None:
    """Make a trimmed system ours: users, distributions, guard, overlay, facts of the board, who may sign updates."""
    _users(root)
    for product in _PRODUCTS:
        shutil.copytree(product, root / SITE / product.name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(GUARD, root / "usr/lib/gatelink/guard", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(OVERLAY, root, symlinks=True, dirs_exist_ok=True)
    launcher = root / "usr/bin/sm"
    launcher.write_text(_LAUNCHER)
    launcher.chmod(0o755)
    shutil.copy(board.directory / "board", root / "etc/gatelink/board")
    configuration = (BOARDS / "common" / "system.conf.in").read_text()
    configuration = configuration.replace("@COMPATIBLE@", board.compatible).replace("@BOOTLOADER@", "bootloader=custom")
    (root / "etc/rauc").mkdir(exist_ok=True)
    (root / "etc/rauc/system.conf").write_text(configuration)
    shutil.copyfile(keyring, root / "etc/rauc/keyring.pem")
    (root / "etc/gatelink/version").write_text(f"{version}\n")


def _busybox(root: Path, programs: Iterable[str]) -> None:
    """A link for each program that BusyBox has and nobody else brought."""
    for name in programs:
        if not any((root / folder / name).exists() for folder in ("usr/bin", "usr/sbin")):
            _link(root / "usr/bin" / name, "busybox")
    _link(root / "usr/sbin/init", "../bin/busybox")
    _link(root / "usr/sbin/modprobe", "../bin/busybox")


def _users(root: Path) -> None:
    passwd = ["root:x:0:0:root:/root:/bin/sh", "nobody:x:65534:65534:nobody:/:/bin/false"]
    passwd.append("messagebus:x:100:100::/:/bin/false")
    groups = {"root": "0", "tty": "5", "dialout": "20", "messagebus": "100", "nogroup": "65534"}
    members: dict[str, list[str]] = {}
    for row in USERS.read_text().splitlines():
        if not row or row.startswith("#"):
            continue
        name, uid, group, gid, _, home, shell, others, *comment = row.split()
        passwd.append(f"{name}:x:{uid}:{gid}:{' '.join(comment)}:{home}:{shell}")
        groups[group] = gid
        for other in others.split(","):
            members.setdefault(other, []).append(name)
    names = [row.split(":")[0] for row in passwd]
    (root / "etc/passwd").write_text("".join(f"{row}\n" for row in passwd))
    rows = [f"{name}:x:{gid}:{','.join(members.get(name, []))}" for name, gid in groups.items()]
    (root / "etc/group").write_text("".join(f"{row}\n" for row in rows))
    shadow = root / "etc/shadow"
    shadow.write_text("".join(f"{name}:*:20089:0:99999:7:::\n" for name in names))
    shadow.chmod(0o600)


def set_times(root: Path) -> None:
    """Give every file the same date."""
    for directory, folders, files in os.walk(root):
        for name in (*folders, *files):
            os.utime(Path(directory) / name, (EPOCH_S, EPOCH_S), follow_symlinks=False)
    os.utime(root, (EPOCH_S, EPOCH_S))


def _link(path: Path, target: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.is_symlink() or path.is_file():
        path.unlink()
    elif path.is_dir():
        shutil.rmtree(path)
    path.symlink_to(target)

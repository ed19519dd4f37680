"""Who may build a lab: root, or an ordinary user as the root of a user namespace of his own.

In the second case the program is run anew under `unshare` (user, mount, network, process), with a private /run, so
that `ip netns` works as it does for root. Everything in it ends with its first process.
"""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from lab.exceptions import MissingRights

# Set inside the user namespace: where the run directory is, and the pid of the first process as others see it.
RUN_ROOT = "GATELINK_LABRUN_ROOT"
OUTER_PID = "GATELINK_LABOUTER_PID"

_PROGRAMS = {
    "ip": "iproute2",
    "tc": "iproute2",
    "nft": "nftables",
    "ethtool": "ethtool",
    "sysctl": "procps",
    "unshare": "util-linux",
    "nsenter": "util-linux",
    "setpriv": "util-linux",
}
_TUN = Path("/dev/net/tun")
_UNSHARE = ("unshare", "--user", "--map-root-user", "--mount", "--net", "--pid")


def is_root() -> bool:
    """Whether the lab can be built by this process as it is."""
    return os.geteuid() == 0


def has_every_user() -> bool:
    """Whether programs can be run as other users: not in a user namespace of the lab's, which has root alone."""
    return is_root() and RUN_ROOT not in os.environ


def run_root() -> Path:
    """The directory that holds the run directories and locks of all this user's labs; it is made if need be."""
    if configured := os.environ.get(RUN_ROOT):
        return Path(configured)
    if is_root():
        root = Path("/run/gatelink-lab")
    else:
        root = Path(os.environ.get("XDG_RUNTIME_DIR") or f"/tmp/gatelink-lab-{os.getuid()}") / "gatelink-lab"
    try:
        root.mkdir(mode=0o755 if is_root() else 0o700, parents=True, exist_ok=True)
        owner = root.stat().st_uid
    except OSError as error:
        raise MissingRights(f"cannot make the run directory {root}: {error.strerror}; set XDG_RUNTIME_DIR") from None
    if owner != os.geteuid():
        raise MissingRights(f"the run directory {root} belongs to uid {owner}; set XDG_RUNTIME_DIR to one of your own")
    return root


def own_pid() -> int:
    """The pid by which processes outside of the user namespace know the lab."""
    return int(os.environ.get(OUTER_PID) or os.getpid())


def find_programs() -> None:
    """Put /usr/sbin on the PATH of an ordinary user of Debian, who otherwise finds no nft and no sysctl."""
    path = os.environ.get("PATH", os.defpath)
    if "/usr/sbin" not in path.split(os.pathsep):
        os.environ["PATH"] = f"{path}{os.pathsep}/usr/sbin"


def check() -> None:
    """Raise MissingRights, in one line, if this machine or user lacks something that a lab needs."""
    find_programs()
    for program, package in _PROGRAMS.items():
        if shutil.which(program) is None:
            raise MissingRights(f"the program {program} is missing; apt-get install {package}")
    _check_tun()
    trial = ["unshare", "--net", "true"] if is_root() else [*_UNSHARE, "--fork", "--mount-proc", "true"]
    done = subprocess.run(trial, capture_output=True, text=True)
    if done.returncode:
        said = done.stderr.strip().splitlines()[-1:] or ["no reason given"]
        if is_root():
            raise MissingRights(
                f"root may not make a network namespace here ({said[0]}); a container needs CAP_SYS_ADMIN"
            )
        raise MissingRights(
            f"an ordinary user may not make a user namespace here ({said[0]}); run as root, or allow it "
            "(sysctl user.max_user_namespaces, kernel.unprivileged_userns_clone, "
            "kernel.apparmor_restrict_unprivileged_userns)"
        )


def _check_tun() -> None:
    try:
        if not stat.S_ISCHR(_TUN.stat().st_mode):
            raise MissingRights(f"{_TUN} is not a device node; load the kernel module tun")
        os.close(os.open(_TUN, os.O_RDWR | os.O_CLOEXEC))
    except FileNotFoundError:
        raise MissingRights(f"{_TUN} is missing; load the kernel module tun") from None
    except OSError as error:
        mode = stat.filemode(_TUN.stat().st_mode)
        raise MissingRights(
            f"{_TUN} cannot be opened for reading and writing ({error.strerror}, mode {mode}); "
            f"run as root, or let root run: chmod 0666 {_TUN}"
        ) from None


def run_with_rights(argv: Sequence[str]) -> NoReturn:
    """Become `argv`, run as root of a new user namespace. For ordinary users only.

    SIGTERM and SIGHUP are handed on to it; when this process is killed, everything in the namespace is.
    """
    inside = [sys.executable, "-m", "lab.inside", str(run_root()), *argv]
    os.execvp(_UNSHARE[0], [*_UNSHARE, "--", *inside])  # noqa: S606


def enter(outer_pid: int, argv: Sequence[str]) -> NoReturn:
    """Become `argv`, run inside of the user namespace of the lab whose first process is `outer_pid`."""
    environment = {**os.environ, RUN_ROOT: str(run_root()), OUTER_PID: str(outer_pid)}
    which = [
        "--target",
        str(outer_pid),
        "--user",
        "--mount",
        "--net",
        "--pid",
        "--preserve-credentials",
        f"--wd={Path.cwd()}",
    ]
    os.execvpe("nsenter", ["nsenter", *which, "--", *argv], environment)  # noqa: S606

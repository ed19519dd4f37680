"""Who may build a lab: root, or an ordinary user as the root of a user namespace of his own.

In the second case the program is run anew under `unshare` (user, mount and process namespaces), with a private /run, so
that `ip netns` works as it does for root. Everything in it ends with its first process.
"""

from __future__ import annotations

import os
import shutil
import signal
import stat
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from lab.exceptions import LabError, MissingRights

# Set inside the user namespace: where the run directory is, and the pid of the first process as others see it.
_RUN_ROOT = "GATELINK_LAB_RUN_ROOT"
_OUTER_PID = "GATELINK_LAB_OUTER_PID"

_PROGRAMS = {
    "ip": "iproute2",
    "tc": "iproute2",
    "nft": "nftables",
    "sysctl": "procps",
    "unshare": "util-linux",
    "nsenter": "util-linux",
    "setpriv": "util-linux",
}
_TUN = Path("/dev/net/tun")
_UNSHARE = ("unshare", "--user", "--map-root-user", "--mount", "--pid")


def is_root() -> bool:
    """Whether the lab can be built by this process as it is."""
    return os.geteuid() == 0


def run_root() -> Path:
    """The directory that holds the run directories and locks of all this user's labs; it is made if need be."""
    if configured := os.environ.get(_RUN_ROOT):
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
    return int(os.environ.get(_OUTER_PID) or os.getpid())


def check() -> None:
    """Raise MissingRights, in one line, if this machine or user lacks something that a lab needs."""
    path = os.environ.get("PATH", os.defpath)
    if "/usr/sbin" not in path.split(os.pathsep):  # where an ordinary user of Debian finds no ip and no nft
        os.environ["PATH"] = f"{path}{os.pathsep}/usr/sbin"
    for program, package in _PROGRAMS.items():
        if shutil.which(program) is None:
            raise MissingRights(f"the program {program} is missing; apt-get install {package}")
    _check_tun()
    trial = ["unshare", "--net", "true"] if is_root() else [*_UNSHARE, "--net", "--fork", "--mount-proc", "true"]
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
    inside = [sys.executable, "-m", "lab.rights", str(run_root()), *argv]
    os.execvp(_UNSHARE[0], [*_UNSHARE, "--", *inside])  # noqa: S606


def enter(outer_pid: int, argv: Sequence[str]) -> NoReturn:
    """Become `argv`, run inside of the user namespace of the lab whose first process is `outer_pid`."""
    environment = {**os.environ, _RUN_ROOT: str(run_root()), _OUTER_PID: str(outer_pid)}
    which = ["--target", str(outer_pid), "--user", "--mount", "--pid", "--preserve-credentials", f"--wd={Path.cwd()}"]
    os.execvpe("nsenter", ["nsenter", *which, "--", *argv], environment)  # noqa: S606


def _private_run(root: Path) -> None:
    """A /run of our own, which still shows the run directory."""
    kept = os.open(root, os.O_PATH | os.O_DIRECTORY)
    try:
        _mount("-t", "tmpfs", "-o", "mode=0755", "tmpfs", "/run")
        root.mkdir(parents=True, exist_ok=True)
        _mount("--bind", f"/proc/self/fd/{kept}", str(root), keep=kept)
    finally:
        os.close(kept)


def _mount(*words: str, keep: int | None = None) -> None:
    done = subprocess.run(["mount", *words], capture_output=True, text=True, pass_fds=() if keep is None else (keep,))
    if done.returncode:
        raise MissingRights(f"cannot mount {words[-1]} in a user namespace: {done.stderr.strip()}; run as root")


def _first_process(root: Path, argv: Sequence[str]) -> NoReturn:
    """In the child, the first process of the process namespace: become `argv`."""
    os.environ[_RUN_ROOT] = str(root)
    os.environ[_OUTER_PID] = str(Path("/proc/self").readlink())
    _mount("-t", "proc", "proc", "/proc")
    os.execvp("setpriv", ["setpriv", "--pdeathsig", "KILL", "--", *argv])  # noqa: S606


def main(arguments: Sequence[str]) -> int:
    """Entry of the program that `run_with_rights` starts inside; it stays as the parent of `argv`."""
    root, *argv = arguments
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the terminal sends it to the child as well
    try:
        _private_run(Path(root))
        child = os.fork()
        if not child:
            signal.signal(signal.SIGINT, signal.default_int_handler)
            _first_process(Path(root), argv)
    except LabError as error:
        sys.stderr.write(f"lab: {error}\n")
        return 2
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda received, _frame: os.kill(child, received))
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

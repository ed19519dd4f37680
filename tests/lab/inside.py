"""Program: the first steps inside of an ordinary user's new namespaces, started by `rights.run_with_rights`.

It forks. The child is the first process of the process namespace: it makes a private /run and /proc and becomes the
command. The parent hands signals on to it and returns its status; if the parent is killed, so is the child, and with it
everything.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from lab.exceptions import LabError, MissingRights
from lab.rights import OUTER_PID, RUN_ROOT


def main(arguments: Sequence[str]) -> int:
    """Run the command (all arguments but the first, which is the directory of the run directories)."""
    root, *argv = arguments
    child = os.fork()
    if not child:
        _become(Path(root), argv)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the terminal sends it to the child as well
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda received, _frame: os.kill(child, received))
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    return code if code >= 0 else 128 - code


def _become(root: Path, argv: Sequence[str]) -> NoReturn:
    try:
        os.environ[RUN_ROOT] = str(root)
        os.environ[OUTER_PID] = str(Path("/proc/self").readlink())
        _make_private_run(root)
        _mount("-t", "proc", "proc", "/proc")
        subprocess.run(["ip", "link", "set", "lo", "up"], check=False)
        os.execvp("setpriv", ["setpriv", "--pdeathsig", "KILL", "--", *argv])  # noqa: S606
    except LabError as error:
        sys.stderr.write(f"lab: {error}\n")
    except OSError as error:
        sys.stderr.write(f"lab: cannot run setpriv: {error.strerror}\n")
    os._exit(2)


def _make_private_run(root: Path) -> None:
    """A /run of our own, for `ip netns`; it still shows the run directory, which others look into."""
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


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

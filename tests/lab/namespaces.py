"""Network namespaces of one prefix: make them, find and end who lives in them, delete them; also what a crash left."""

from __future__ import annotations

import os
import select
import signal
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from lab.exceptions import LabError

NETNS_DIRECTORY = Path("/run/netns")


def existing(prefix: str) -> list[str]:
    """The namespaces of this prefix that are there now, by full name; an ordinary user has none but in his own /run."""
    if os.geteuid() or not NETNS_DIRECTORY.is_dir():
        return []
    return sorted(path.name for path in NETNS_DIRECTORY.iterdir() if path.name.startswith(f"{prefix}-"))


def create(names: Sequence[str]) -> None:
    """Make the namespaces in one process. Raises LabError with what `ip` said."""
    command(["ip", "-batch", "-"], "".join(f"netns add {name}\n" for name in names))


def delete(names: Sequence[str]) -> None:
    """Delete the namespaces; the devices in them go with them."""
    if names:
        command(["ip", "-force", "-batch", "-"], "".join(f"netns del {name}\n" for name in names))


def command(argv: Sequence[str], script: str) -> None:
    """Run a program that reads `script` from its standard input. Raises LabError with its first complaint."""
    done = subprocess.run(argv, input=script, capture_output=True, text=True)
    if done.returncode:
        raise LabError(complaint(argv, done.stderr or done.stdout))


def run_shell_scripts(scripts: Iterable[tuple[str, str]]) -> None:
    """Run a shell script in each namespace, all at the same time. Raises LabError for the first that failed."""
    running: list[tuple[list[str], subprocess.Popen[str]]] = []
    for namespace, script in scripts:
        argv = ["ip", "netns", "exec", namespace, "sh", "-eu", "-c", script]
        pipe = subprocess.PIPE
        running.append(
            (
                argv[:5],
                subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=pipe, stderr=subprocess.STDOUT, text=True),
            )
        )
    failures = []
    for argv, process in running:
        said, _ = process.communicate()
        if process.returncode:
            failures.append(complaint(argv, said))
    if failures:
        raise LabError(failures[0])


def settle(devices: Mapping[str, Sequence[str]]) -> None:
    """Make the kernel act now on the carriers that these devices (by namespace) have gained or lost.

    It puts that off for up to a second, in which a device that is up drops what it is given. Asking for the link state
    does it at once (Linux, net/ethtool/ioctl.c, ethtool_op_get_link). A bridge comes after its ports.
    """
    ask = "; ".join
    run_shell_scripts(
        (namespace, ask(f"ethtool {name} >/dev/null" for name in dict.fromkeys(names)))
        for namespace, names in devices.items()
    )


def complaint(argv: Sequence[str], said: str) -> str:
    """One line that says which command failed and the first thing that it said."""
    lines = [line for line in said.splitlines() if line.strip()]
    return f"`{' '.join(argv)}` failed: {lines[0] if lines else 'it said nothing'}"


def inhabitants(names: Iterable[str]) -> list[int]:
    """The processes that live in these namespaces, whoever started them; never the calling process."""
    wanted = {_identity(NETNS_DIRECTORY / name) for name in names} - {_identity(Path("/proc/self/ns/net")), None}
    if not wanted:
        return []
    pids = [int(path.name) for path in Path("/proc").iterdir() if path.name.isdecimal()]
    return [pid for pid in pids if _identity(Path(f"/proc/{pid}/ns/net")) in wanted]


def end_inhabitants(names: Sequence[str], deadline_s: float = 5.0) -> None:
    """End (SIGKILL) everything in these namespaces and wait until it is gone. Raises LabError for what will not go."""
    for _ in range(5):  # what is just being forked is found in the next round
        pids = inhabitants(names)
        if not pids:
            return
        for pid in pids:
            _kill_and_wait(pid, deadline_s)
    raise LabError(f"processes keep coming back in {', '.join(names)}: {inhabitants(names)}")


def _kill_and_wait(pid: int, deadline_s: float) -> None:
    try:
        pidfd = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    try:
        signal.pidfd_send_signal(pidfd, signal.SIGKILL)
        if not select.select([pidfd], [], [], deadline_s)[0]:
            raise LabError(f"process {pid} did not end within {deadline_s:g} s of SIGKILL")
    except ProcessLookupError:
        return
    finally:
        os.close(pidfd)


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino

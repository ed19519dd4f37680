"""A place: one network namespace, in which commands are run and programs are started."""

from __future__ import annotations

import ipaddress
import itertools
import os
import pwd
import shlex
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from lab import namespaces, rights
from lab.exceptions import CommandFailed, LabError
from lab.layout import PlaceSpec
from lab.processes import Process

_TESTS = Path(__file__).resolve().parent.parent


@dataclass(frozen=True, slots=True)
class Completed:
    """What a command that has ended said."""

    returncode: int
    stdout: str
    stderr: str


class Place:
    """One namespace of the lab. Devices in it have plain names (eth0, lan0, wan0)."""

    def __init__(self, prefix: str, spec: PlaceSpec, run_directory: Path) -> None:
        self.name = spec.name
        self.spec = spec
        self.namespace = f"{prefix}-{spec.name}"
        self.processes: list[Process] = []
        self.run_directory = run_directory
        self._numbers = itertools.count(1)

    def __repr__(self) -> str:
        return f"Place({self.name!r})"

    def argv(self, argv: Sequence[str | Path], user: str | int | None = None) -> list[str]:
        """The command line that runs `argv` here, for callers who start processes on their own."""
        whole = ["ip", "netns", "exec", self.namespace]
        if user is not None:
            if not rights.has_every_user():
                raise LabError(f"cannot run as {user}: this lab runs in a user namespace, which has root alone")
            group = str(user) if str(user).isdecimal() else _group_of(str(user))
            whole += ["setpriv", f"--reuid={user}", f"--regid={group}", "--clear-groups", "--inh-caps=-all", "--"]
        return whole + [str(word) for word in argv]

    def run(
        self,
        argv: Sequence[str | Path],
        *,
        timeout_s: float = 30.0,
        check: bool = True,
        stdin_text: str | None = None,
        env: Mapping[str, str] | None = None,
        user: str | int | None = None,
    ) -> Completed:
        """Run a command to its end. Raises CommandFailed if it takes too long or, unless `check` is off, fails."""
        spoken = shlex.join(str(word) for word in argv)
        try:
            done = subprocess.run(
                self.argv(argv, user),
                input=stdin_text,
                stdin=subprocess.DEVNULL if stdin_text is None else None,
                capture_output=True,
                text=True,
                errors="replace",
                timeout=timeout_s,
                env=_environment(env),
            )
        except subprocess.TimeoutExpired:
            raise CommandFailed(f"`{spoken}` in {self.name} did not end within {timeout_s:g} s") from None
        if check and done.returncode:
            said = " | ".join((done.stderr or done.stdout).strip().splitlines()[-4:]) or "it said nothing"
            raise CommandFailed(f"`{spoken}` in {self.name} ended with status {done.returncode}: {said}")
        return Completed(done.returncode, done.stdout, done.stderr)

    def start(
        self,
        argv: Sequence[str | Path],
        *,
        name: str | None = None,
        env: Mapping[str, str] | None = None,
        user: str | int | None = None,
        stdin_text: str | None = None,
    ) -> Process:
        """Start a program that goes on beside. What it says is kept in `Process.log_path` in the run directory."""
        name = name or Path(str(argv[0])).name
        log_path = self.run_directory / "logs" / f"{self.name}.{name}.{next(self._numbers)}.log"
        log_path.parent.mkdir(exist_ok=True)
        process = Process(f"{name} in {self.name}", self.argv(argv, user), log_path, _environment(env), stdin_text)
        self.processes.append(process)
        return process

    def start_module(self, module: str, *arguments: str, name: str | None = None) -> Process:
        """Start one of the lab's own programs (`lab.plc`, `lab.echo`, ...) with this Python."""
        env = {"PYTHONPATH": str(_TESTS), "PYTHONUNBUFFERED": "1"}
        return self.start([sys.executable, "-m", module, *arguments], name=name or module.rpartition(".")[2], env=env)

    def change_address(self, address: str, device: str = "eth0") -> None:
        """Give the device another IPv4 address (`10.20.1.77/24`), as a new DHCP lease would; nobody is told."""
        interface = ipaddress.IPv4Interface(address)
        batch = [f"addr flush dev {device}", f"addr add {interface} dev {device}"]
        if self.spec.gateway:
            batch.append(f"route replace default via {self.spec.gateway}")
        namespaces.command(["ip", "-4", "-n", self.namespace, "-batch", "-"], "\n".join(batch))


def _environment(extra: Mapping[str, str] | None) -> dict[str, str]:
    return {**os.environ, **(extra or {})}


def _group_of(user: str) -> str:
    try:
        return str(pwd.getpwnam(user).pw_gid)
    except KeyError:
        raise LabError(f"this machine has no user {user!r}") from None

"""GateManager, SiteManager and LinkManager in their places, driven as people drive them: by their command lines.

    with Lab() as lab, System(lab) as system:          # claimed, invited, logged in; nothing is connected yet
        system.lm.run("connect", "acme/line3/press")
        lab.pc.run([*MODBUS_CLIENT, "--polls", "3"])

Each product has its files under the lab's run directory, so that nothing of a test is left with the lab's end. LM
runs as an ordinary user (`nobody`) with a service that has the rights beside it, where the lab may have another user.
"""

from __future__ import annotations

import json
import os
import shlex
import shutil
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Final

from lab.exceptions import CommandFailed
from lab.lab import Lab
from lab.places import Completed, Place
from lab.processes import Process
from lab.rights import has_every_user

_BIN: Final = Path(sys.executable).parent
_TESTS: Final = Path(__file__).resolve().parent.parent
GM_ADDRESS: Final = "203.0.113.10"
DOMAIN: Final = "acme/line3"
APPLIANCE: Final = "acme/line3/press"
DEVICE: Final = "acme/line3/press/plc"
USER: Final = "ann"
PASSWORD: Final = "correct horse battery"
PLC_ADDRESS: Final = "192.168.50.10"


class GateManager:
    """`gm` in the internet. Its data directory lives through `kill9` and a new `start`."""

    def __init__(self, lab: Lab, place: Place | None = None, name: str = "gm") -> None:
        self.place = place or lab.internet
        self.data = lab.run_directory / name
        self.process: Process | None = None

    @property
    def environment(self) -> dict[str, str]:
        """What the commands of this GateManager need."""
        return {"GATELINK_GM_DATA": str(self.data)}

    def run(self, *arguments: str, check: bool = True, stdin_text: str | None = None) -> Completed:
        """Run an administrator's command."""
        return self.place.run([_BIN / "gm", *arguments], check=check, stdin_text=stdin_text, env=self.environment)

    def run_each(self, *commands: Sequence[str]) -> None:
        """Run several commands in turn, quicker than each by `run`; the first that fails is the last."""
        lines = "".join(f"{json.dumps(command)}\n" for command in commands)
        environment = {**self.environment, "PYTHONPATH": str(_TESTS)}
        self.place.run([sys.executable, "-P", "-m", "lab.gm_commands"], stdin_text=lines, env=environment)

    def ask(self, *arguments: str) -> Any:
        """Run a command with `--json` and return what it says."""
        return json.loads(self.run(*arguments, "--json").stdout)

    def init(self, *addresses: str) -> None:
        """Make a GateManager."""
        wanted = addresses or (GM_ADDRESS,)
        self.run("init", "--name", "acme", *(word for address in wanted for word in ("--address", address)))

    def configure(self, key: str, value: str | float | Sequence[str]) -> None:
        """Change one setting of `config.toml`; it holds from the next start on."""
        path = self.data / "config.toml"
        rows = path.read_text().splitlines()
        position = next(number for number, row in enumerate(rows) if row.startswith(f"{key} = "))
        end = position if rows[position] != f"{key} = [" else rows.index("]", position)
        rows[position : end + 1] = [f"{key} = {json.dumps(value)}"]
        path.write_text("\n".join([*rows, ""]))

    def start(self, env: dict[str, str] | None = None) -> Process:
        """Serve, and wait until it does."""
        environment = {"PYTHONUNBUFFERED": "1", **self.environment, **(env or {})}
        self.process = self.place.start([str(_BIN / "gm"), "serve"], name="gm", env=environment)
        self.process.wait_for_line(r"gm: serving on", 20)
        return self.process

    def kill9(self) -> None:
        """A pulled plug."""
        if self.process is not None:
            self.process.kill9()

    def claim(self, domain: str = DOMAIN, name: str = "press", *options: str) -> str:
        """Make a claim and return its text."""
        return _word(self.run("claims", "create", "--domain", domain, "--name", name, *options).stdout, "glc1_")

    def invite(self, user: str = USER, *options: str) -> str:
        """Make an invitation and return its text."""
        return _word(self.run("invitations", "create", user, *options).stdout, "gli1_")

    def is_online(self, appliance: str = APPLIANCE) -> bool:
        """Whether the GM says that an appliance is connected."""
        return any(row["online"] for row in self.ask("appliances", "list") if row["path"] == appliance)


class SiteManager:
    """`sm` at a site."""

    def __init__(self, lab: Lab, place: Place | None = None) -> None:
        self.place = place or lab.site
        self.state = lab.run_directory / f"sm-{self.place.name}"
        self.runtime = self.state / "run"
        self.process: Process | None = None

    def run(self, *arguments: str, check: bool = True, stdin_text: str | None = None) -> Completed:
        """Run a technician's command."""
        return self.place.run([_BIN / "sm", *arguments], check=check, stdin_text=stdin_text, env=self.environment)

    def ask(self, *arguments: str) -> Any:
        """Run a command with `--json` and return what it says."""
        return json.loads(self.run(*arguments, "--json").stdout)

    def enrol(self, claim: str) -> Completed:
        """Redeem a claim, and name the port beside the machine."""
        done = self.run("enrol", "--claim-file", "-", stdin_text=claim)
        self.run("config", "set", "dev_interfaces", "eth1")
        return done

    def start(self, env: dict[str, str] | None = None, prefix: Sequence[str] = ()) -> Process:
        """Run the daemon; `prefix` goes before its command line (`faketime ...`)."""
        argv = [*prefix, str(_BIN / "sm"), "run"]
        environment = {"PYTHONUNBUFFERED": "1", **self.environment, **(env or {})}
        self.process = self.place.start(argv, name="sm", env=environment)
        return self.process

    def wait_until_connected(self, deadline_s: float = 20.0, *, after: int = 0) -> int:
        """Wait for the line that says so; the port."""
        assert self.process is not None
        return int(self.process.wait_for_line(r"connected to .*port (\d+)", deadline_s, after=after)[1])

    def kill9(self) -> None:
        """A pulled plug."""
        if self.process is not None:
            self.process.kill9()

    @property
    def environment(self) -> dict[str, str]:
        """What the commands of this SiteManager need."""
        return {"GATELINK_SM_STATE": str(self.state), "GATELINK_SM_RUNTIME": str(self.runtime)}


class LinkManager:
    """`lm` on a PC: the service with rights, and commands of an ordinary user."""

    def __init__(self, lab: Lab, place: Place | None = None) -> None:
        self.place = place or lab.pc
        self.directory = lab.run_directory / f"lm-{self.place.name}"
        self.home = self.directory / "home"
        self.home.mkdir(parents=True, exist_ok=True)
        self.socket = self.directory / "service.sock"
        self.hosts = self.directory / "hosts"
        """What this PC's programs would find in /etc/hosts; `with_names` is a program that does."""
        self.user: str | None = None
        self.service: Process | None = None
        if has_every_user() and _may_be_run_by(self.place, "nobody"):
            self.user = "nobody"
            for path in (self.directory, self.home):
                shutil.chown(path, "nobody", "nogroup")
        if not self.hosts.exists():
            self.hosts.write_text("127.0.0.1\tlocalhost\n")
        if not (self.home / "config.toml").exists():
            self.configure()

    def configure(self, *lines: str) -> None:
        """Write the user's settings: where this lab's service listens, and `lines` of TOML before it."""
        (self.home / "config.toml").write_text(
            "\n".join(["schema = 1", *lines, "[service]", f'socket = "{self.socket}"', ""])
        )

    def start_service(self) -> Process:
        """Start the part with rights."""
        argv = [str(_BIN / "lm"), "service", "--socket", str(self.socket), "--allow-uid", str(self._uid)]
        argv += ["--names", "hosts", "--hosts-file", str(self.hosts)]
        self.service = self.place.start(argv, name="lm-service", env={"PYTHONUNBUFFERED": "1"})
        self.service.wait_for_line(r"listen", 10)
        return self.service

    def argv(self, *arguments: str) -> list[str | Path]:
        """The command line of an engineer's command."""
        return [_BIN / "lm", *arguments]

    def with_names(self, argv: Sequence[str | Path]) -> list[str | Path]:
        """The command line that runs a program for which this PC's hosts file is /etc/hosts."""
        script = 'mount --bind "$0" /etc/hosts && exec "$@"'
        return ["unshare", "--mount", "sh", "-c", script, self.hosts, *argv]

    def run(
        self, *arguments: str, check: bool = True, stdin_text: str | None = None, timeout_s: float = 60.0
    ) -> Completed:
        """Run an engineer's command."""
        return self.place.run(
            self.argv(*arguments),
            check=check,
            stdin_text=stdin_text,
            env=self.environment,
            user=self.user,
            timeout_s=timeout_s,
        )

    def begin(self, *arguments: str) -> Process:
        """Start an engineer's command without waiting for its end."""
        return self.place.start([str(_BIN / "lm"), *arguments], name="lm", env=self.environment, user=self.user)

    def ask(self, *arguments: str) -> Any:
        """Run a command with `--json` and return what it says."""
        return json.loads(self.run(*arguments, "--json").stdout)

    def redeem(self, invitation: str, password: str = PASSWORD) -> Completed:
        """Redeem an invitation with a new password."""
        return self.run("redeem", invitation, "--password-stdin", stdin_text=password)

    def login(self, password: str = PASSWORD, *, check: bool = True) -> Completed:
        """Log in; the agent goes on in the background."""
        return self.run("login", "--password-stdin", stdin_text=password, check=check)

    @property
    def log(self) -> str:
        """What the agent wrote."""
        with suppress(FileNotFoundError):
            return (self.home / "agent.log").read_text()
        return ""

    @property
    def agent_pid(self) -> int:
        """The agent's process."""
        return int(self.ask("status")["pid"])

    @property
    def _uid(self) -> int:
        return self.home.stat().st_uid

    @property
    def environment(self) -> dict[str, str]:
        """What the commands of this LinkManager need."""
        return {"GATELINK_LM_HOME": str(self.home), "XDG_RUNTIME_DIR": str(self.home)}


class System:
    """The usual whole: a GM, one claimed SM with a PLC beside it, one user with a grant, logged in."""

    def __init__(self, lab: Lab) -> None:
        self.lab = lab
        self.gm = GateManager(lab)
        self.sm = SiteManager(lab)
        self.lm = LinkManager(lab)
        self.plc: Process | None = None

    def __enter__(self) -> System:
        self.start_plc()
        self.start_gm()
        self.start_sm()
        self.start_lm()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Nothing: the lab ends every process in it."""

    def start_plc(self) -> None:
        """A PLC that answers Modbus TCP."""
        self.plc = self.lab.plant.start_module("lab.plc")
        self.plc.wait_for_line("PLC listens")

    def start_gm(self) -> None:
        """A GM that knows a domain and a user; made first, if nobody has made it already."""
        if not self.gm.data.exists():
            self.gm.init()
        self.gm.start()
        self.gm.run_each(
            ["domains", "add", "acme"], ["domains", "add", DOMAIN], ["users", "add", USER, "--domain", "acme"]
        )

    def start_sm(self) -> None:
        """A claimed SM, connected, with its PLC."""
        self.sm.enrol(self.gm.claim())
        self.sm.start()
        self.sm.wait_until_connected()
        self.add_device(DEVICE, PLC_ADDRESS, "modbus", "ping")
        self.gm.run("grants", "add", USER, "--appliance", APPLIANCE)

    def add_device(self, path: str, address: str, *services: str) -> None:
        """A device behind an appliance, with services of well-known names."""
        appliance, _, name = path.rpartition("/")
        self.gm.run_each(
            ["devices", "add", appliance, name, address],
            *(["services", "add", path, service] for service in services),
        )

    def start_lm(self) -> None:
        """An invited user, logged in."""
        self.lm.start_service()
        self.lm.redeem(self.gm.invite())
        self.lm.login()


def environment_at(lab: Lab, place: Place) -> dict[str, str]:
    """What gm, sm and lm, and the lab's own programs, need when a person runs them in a place."""
    search = [str(_BIN), os.environ.get("PATH", os.defpath)]
    environment = {"PYTHONPATH": str(_TESTS)}
    if place.name.startswith("pc"):
        lm = LinkManager(lab, place)
        environment |= lm.environment
        if lm.user is not None:
            search.insert(0, str(_as_user(lm)))
    elif place.name.startswith("site"):
        environment |= SiteManager(lab, place).environment
    else:
        environment |= GateManager(lab).environment
    return {**environment, "PATH": os.pathsep.join(search)}


def _as_user(lm: LinkManager) -> Path:
    """A directory with a command `lm` that gives up root's rights before it runs the real one."""
    directory = lm.directory / "bin"
    directory.mkdir(exist_ok=True)
    command = directory / "lm"
    words = ["setpriv", f"--reuid={lm.user}", "--regid=nogroup", "--clear-groups", "--inh-caps=-all", str(_BIN / "lm")]
    command.write_text(f'#!/bin/sh\nexec {shlex.join(words)} "$@"\n')
    command.chmod(0o755)
    return directory


def _word(text: str, beginning: str) -> str:
    """The one word of an output that begins so."""
    for word in text.split():
        if word.startswith(beginning):
            return word
    raise CommandFailed(f"expected a word that begins with {beginning} in: {text}")


def _may_be_run_by(place: Place, user: str) -> bool:
    """Whether an ordinary user can reach this tree: one that was cloned into root's home cannot be run by others."""
    return place.run([sys.executable, "-c", ""], user=user, check=False, env={"HOME": "/"}).returncode == 0

"""The command `./lab`: one lab up in one terminal, and what is done to it from others."""

from __future__ import annotations

import argparse
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import NoReturn

from lab import namespaces, picture, rights, running
from lab.exceptions import LabError, MissingRights
from lab.firewalls import How
from lab.lab import Lab
from lab.layout import PLANT_NETWORK
from lab.lines import Line
from lab.products import environment_at

Occupy = Callable[[Lab], AbstractContextManager[Iterable[str]]]
"""What `up` does with a lab that has just been built: start programs in it, give lines to print, end with the lab."""

_SELF = (sys.executable, "-m", "lab")


def main(argv: Sequence[str] | None = None, occupy: Occupy | None = None) -> int:
    """Run one command; its exit status: 0, 1 for an error, 2 for wrong usage or missing rights."""
    arguments = _parser().parse_args(argv)
    words = list(sys.argv[1:] if argv is None else argv)
    try:
        status: int = arguments.run(arguments, words, occupy)
    except MissingRights as error:
        sys.stderr.write(f"lab: {error}\n")
        return 2
    except LabError as error:
        sys.stderr.write(f"lab: {error}\n")
        return 1
    return status


def _up(arguments: argparse.Namespace, words: list[str], occupy: Occupy | None) -> int:
    if not rights.is_root():
        rights.check()
        rights.run_with_rights([*_SELF, *words])
    # Only noted, so that cleaning up is never interrupted.
    over = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda *_: over.set())
    tenants = _nobody if arguments.bare or occupy is None else occupy
    with Lab() as lab, tenants(lab) as news:
        _say([*picture.usage(lab), *news, "", "The lab is up; Ctrl-C takes it down."])
        over.wait()
    _say(["The lab is down; nothing is left."])
    return 0


def _nobody(_lab: Lab) -> AbstractContextManager[Iterable[str]]:
    return nullcontext(())


def _exec(arguments: argparse.Namespace, words: list[str], _occupy: Occupy | None) -> NoReturn:
    lab = _attach(words)
    place = lab.place(arguments.place)
    argv = place.argv(arguments.command)
    try:
        os.execvpe(argv[0], argv, {**os.environ, **environment_at(lab, place)})  # noqa: S606
    except OSError as error:
        raise LabError(f"cannot run {argv[0]}: {error.strerror}") from None


def _line(arguments: argparse.Namespace, words: list[str], _occupy: Occupy | None) -> int:
    wanted = {"rate": "rate_mbit", "delay": "delay_ms", "loss": "loss_percent"}
    line = _attach(words).line(arguments.name)
    if arguments.what in wanted:
        line.change(**{wanted[arguments.what]: _number(arguments)})
    elif arguments.value is not None:
        raise LabError(f"{arguments.what} takes no value, {arguments.value!r} was given")
    else:
        plain = {"cut": Line.cut, "mend": Line.mend, "unplug": Line.unplug, "plug": Line.plug, "clear": Line.clear}
        plain[arguments.what](line)
    return 0


def _number(arguments: argparse.Namespace) -> float:
    unit = {"rate": "Mbit/s", "delay": "ms", "loss": "percent"}[arguments.what]
    try:
        return float(arguments.value)
    except (TypeError, ValueError):
        given = "nothing" if arguments.value is None else repr(arguments.value)
        raise LabError(f"{arguments.what}: expected a number of {unit}, {given} was given") from None


def _ports(arguments: argparse.Namespace, words: list[str], _occupy: Occupy | None) -> int:
    if (arguments.what == "block") != bool(arguments.port):
        raise LabError(
            "block needs at least one port" if arguments.what == "block" else f"{arguments.what} takes no port"
        )
    firewall = _attach(words).firewall(arguments.firewall)
    how: How = "reject" if arguments.reject else "drop"
    match arguments.what:
        case "block":
            firewall.close_ports(*arguments.port, how=how)
        case "only-proxy":
            firewall.allow_only_proxy(how)
        case "open":
            firewall.open()
    return 0


def _add(arguments: argparse.Namespace, words: list[str], _occupy: Occupy | None) -> int:
    lab = _attach(words)
    match arguments.what:
        case "pc":
            added = [lab.add_pc()]
        case "site":
            added = [*lab.add_site(arguments.network)]
        case _:
            added = [lab.add_host(arguments.plant)]
    _say([f"added {', '.join(place.name for place in added)}"])
    return 0


def _status(_arguments: argparse.Namespace, words: list[str], _occupy: Occupy | None) -> int:
    prefix = running.prefix_in_use(None)
    pid = running.owner(prefix)
    if pid is None:
        left = namespaces.existing(prefix)
        _say(
            [f"no lab {prefix!r} is up", *([f"a crash left {', '.join(left)}; ./lab down removes it"] if left else [])]
        )
        return 1
    _say([f"the lab {prefix!r} is up, process {pid}", *picture.status(_attach(words))])
    return 0


def _down(_arguments: argparse.Namespace, _words: list[str], _occupy: Occupy | None) -> int:
    found = Lab.clean()
    _say([f"removed {', '.join(found)}" if found else "nothing was left"])
    return 0


def _rights(arguments: argparse.Namespace, _words: list[str], _occupy: Occupy | None) -> NoReturn:
    rights.check()
    if not rights.is_root():
        rights.run_with_rights(arguments.command)
    os.execvp(arguments.command[0], arguments.command)  # noqa: S606


def _attach(words: list[str]) -> Lab:
    """The lab that is up; an ordinary user's command is run again inside of the lab's user namespace."""
    prefix = running.prefix_in_use(None)
    pid = running.owner(prefix)
    if pid is None:
        raise LabError(f"no lab {prefix!r} is up; start it with ./lab up")
    if not rights.is_root():
        rights.enter(pid, [*_SELF, *words])
    return Lab.attach(prefix)


def _say(lines: Iterable[str]) -> None:
    sys.stdout.write("".join(f"{line}\n" for line in lines))
    sys.stdout.flush()


def _port(text: str) -> int:
    if not (text.isdecimal() and 1 <= int(text) <= 65535):
        raise argparse.ArgumentTypeError(f"{text!r} is no port: expected 1 to 65535")
    return int(text)


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        self.exit(2, f"lab: {message}; see {self.prog} --help\n")


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="./lab", description="real network places on this machine; GATELINK_LAB_PREFIX names the lab")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    def command(name: str, run: Callable[..., int], text: str) -> argparse.ArgumentParser:
        added = commands.add_parser(name, help=text, description=text)
        added.set_defaults(run=run)
        return added

    found = command("up", _up, "build the lab, start everything in it, stay until Ctrl-C, remove it")
    found.add_argument(
        "--bare", action="store_true", help="the places only, without GateManager, SiteManager, LinkManager"
    )
    found = command("exec", _exec, "run a command in a place: exec pc -- ping 203.0.113.10")
    found.add_argument("place")
    found.add_argument("command", nargs="+", metavar="CMD")
    found = command("line", _line, "change a line: line factory-site rate 20")
    found.add_argument("name")
    found.add_argument("what", choices=["cut", "mend", "unplug", "plug", "rate", "delay", "loss", "clear"])
    found.add_argument("value", nargs="?", help="Mbit/s for rate, ms one way for delay, percent for loss")
    found = command("ports", _ports, "what a firewall lets out: ports factory block 11444 443")
    found.add_argument("firewall")
    found.add_argument("what", choices=["block", "open", "only-proxy"])
    found.add_argument("port", nargs="*", type=_port)
    found.add_argument("--reject", action="store_true", help="answer with a reset instead of silence")
    found = command("add", _add, "add a pc, a site or a host on a plant network")
    found.add_argument("what", choices=["pc", "site", "host"])
    found.add_argument("plant", nargs="?", default="plant", help="where the host is added (plant)")
    found.add_argument("--network", default=PLANT_NETWORK, help=f"the site's plant network ({PLANT_NETWORK})")
    command("status", _status, "places, lines and firewalls as they are now")
    command("down", _down, "remove what a crash left")
    found = command(
        "rights", _rights, "run a command with the lab's rights: as it is for root, else in a user namespace"
    )
    found.add_argument("command", nargs="+", metavar="CMD")
    return parser

"""The command ``sm``. Imports late: a gateway starts as fast as it imports, and most commands need little."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final, NoReturn

from . import __version__
from .machine_commands import add_commands

DEFAULT_STATE: Final = "/var/lib/gatelink-sm"
DEFAULT_RUNTIME: Final = "/run/gatelink-sm"
DEFAULT_PAGE_USER: Final = "gatelink-page"
MAX_CLAIM_BYTES: Final = 16 * 1024
SOCKET_NAME: Final = "sm.sock"
"""As ``core.local`` has it, which is not imported for this alone."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit status: 0 done, 1 not done (one line says why), 2 not understood."""
    options = _parser().parse_args(arguments)
    from gatelink.exceptions import GatelinkError

    from .logs import report

    try:
        if options.command not in (_run, _cleanup, _page):
            from .host.owner import act_as_owner_of

            act_as_owner_of(options.state)
        return int(options.command(options) or 0)
    except GatelinkError as error:
        report(f"error: {error}")
    except KeyboardInterrupt:
        report("interrupted")
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 1


class _Parser(argparse.ArgumentParser):
    """Complains in one line."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"sm: error: {message} (see {self.prog} -h)\n")


def _parser() -> argparse.ArgumentParser:
    places = _Parser(add_help=False)
    places.add_argument(
        "--state",
        type=Path,
        default=Path(os.environ.get("GATELINK_SM_STATE") or DEFAULT_STATE),
        help=f"the directory that holds who this unit is (or GATELINK_SM_STATE; default {DEFAULT_STATE})",
    )
    places.add_argument(
        "--runtime",
        type=Path,
        default=Path(os.environ.get("GATELINK_SM_RUNTIME") or DEFAULT_RUNTIME),
        help=f"the directory of the local socket (or GATELINK_SM_RUNTIME; default {DEFAULT_RUNTIME})",
    )
    parser = _Parser(prog="sm", description="The SiteManager: remote access to the machine beside it.")
    parser.add_argument("--version", action="version", version=f"sm {__version__}")
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")

    enrol = commands.add_parser("enrol", parents=[places], help="make this unit known to a GateManager")
    source = enrol.add_mutually_exclusive_group(required=True)
    source.add_argument("--claim", metavar="TEXT", help="the claim (others here may see it while this runs)")
    source.add_argument("--claim-file", metavar="FILE", help="a file with the claim, - for standard input")
    source.add_argument("--gm", metavar="ADDRESS", help="no claim: trust this GateManager as it comes")
    enrol.add_argument("--wait", action="store_true", help="go on until it is done")
    enrol.set_defaults(command=_enrol)

    run = commands.add_parser("run", parents=[places], help="the daemon")
    run.add_argument("--page-user", default=_page_user(), help="who runs sm page (or GATELINK_SM_PAGE_USER)")
    run.add_argument(
        "--provision-from",
        type=Path,
        action="append",
        default=[],
        metavar="DIRECTORY",
        help="where gatelink.toml may lie: a boot partition, a USB stick; may be given more than once",
    )
    run.add_argument("--trial-s", type=float, default=90.0, help="how long a change is on trial (default 90)")
    run.set_defaults(command=_run)

    page = commands.add_parser("page", parents=[places], help="the set-up page, a process without rights")
    page.add_argument("--user", default=_page_user(), help="as whom it goes on when root starts it")
    page.add_argument("--interface", action="append", default=[], help="serve here; default: the machine side")
    page.set_defaults(command=_page)

    secret = commands.add_parser("secret", parents=[places], help="the secret for this unit's label")
    secret.add_argument("--reset", action="store_true", help="forget the chosen password: the secret is good again")
    secret.set_defaults(command=_secret)

    init = commands.add_parser("init", parents=[places], help="the first configuration of a new unit, for its page")
    init.add_argument("--dev-interface", required=True, help="the port on the machine's side")
    init.add_argument("--dev-address", default="10.0.0.1/24", help="its address (default 10.0.0.1/24)")
    init.set_defaults(command=_init)

    status = commands.add_parser("status", parents=[places], help="what the daemon does")
    status.add_argument("--json", action="store_true", help="for programs")
    status.set_defaults(command=_status)

    add_commands(commands, places)

    for name, words in (("lock", "end and refuse all remote access"), ("unlock", "allow remote access again")):
        lock = commands.add_parser(name, parents=[places], help=words)
        lock.set_defaults(command=_lock, locked=name == "lock")

    config = commands.add_parser("config", help="show, check and change the configuration")
    actions = config.add_subparsers(required=True, metavar="ACTION")
    actions.add_parser("show", parents=[places], help="all keys and values").set_defaults(command=_config_show)
    actions.add_parser("check", parents=[places], help="list mistakes").set_defaults(command=_config_check)
    setter = actions.add_parser("set", parents=[places], help="change one key; the daemon reads it at its next start")
    setter.add_argument("key")
    setter.add_argument("value", help="TOML, a plain word, or words with commas between for a list")
    setter.set_defaults(command=_config_set)

    reset = commands.add_parser("reset", parents=[places], help="forget the GateManager and who this unit is to it")
    reset.add_argument("--yes", action="store_true", help="really")
    reset.set_defaults(command=_reset)

    clean = commands.add_parser("cleanup", parents=[places], help="remove what a crash of the daemon left")
    clean.set_defaults(command=_cleanup)
    return parser


def _enrol(options: argparse.Namespace) -> None:
    from gatelink.exceptions import InputError

    from .exceptions import DaemonError
    from .host.state import State

    state = State(options.state)
    if state.is_enrolled:
        raise InputError(
            f"this unit is enrolled already, as {state.known().name!r}; to enrol anew, first sm reset --yes"
        )
    try:
        with state.exclusive():
            import asyncio

            asyncio.run(_enrol_with(options, state))
            return
    except DaemonError:
        if not (options.runtime / SOCKET_NAME).exists():
            raise
    _enrol_by_daemon(options)


def _enrol_by_daemon(options: argparse.Namespace) -> None:
    """The daemon runs and does it; this says how it goes, until it is done or an administrator has to act."""
    import time

    from gatelink.exceptions import InputError

    from .core.local_requests import EnrolmentAnswer, EnrolmentRequest, EnrolRequest
    from .logs import report
    from .services.local_client import ask

    request = EnrolRequest(address=options.gm) if options.gm else EnrolRequest(claim=_claim_text(options))
    answer = ask(options.runtime, request, EnrolmentAnswer)
    said = ""
    while answer.phase in ("trying", "waiting"):
        if answer.text != said:
            said = answer.text
            report(said)
        if answer.phase == "waiting" and answer.pin_serial and not options.wait:
            report("the daemon goes on asking; or use sm enrol --wait")
            return
        time.sleep(0.5)
        answer = ask(options.runtime, EnrolmentRequest(), EnrolmentAnswer)
    if answer.phase != "enrolled":
        raise InputError(answer.text)
    report(answer.text)


async def _enrol_with(options: argparse.Namespace, state: object) -> None:
    from gatelink.claims import parse_claim
    from gatelink.link.endpoints import check_address

    from .host.config_store import load
    from .host.state import State, Waiting
    from .logs import report
    from .services.enrolment import ask, redeem, wait_for_adoption

    assert isinstance(state, State)  # noqa: S101 - imported late
    config = load(state.directory)
    if options.gm is not None:
        addresses = (check_address(options.gm),)
        if options.wait:
            state.save_waiting(Waiting(addresses))
            await wait_for_adoption(state, config, report)
        elif await ask(state, config, addresses, report) is not None:
            report("sm run goes on asking; or use sm enrol --wait")
            return
    else:
        enrolment = await redeem(state, config, parse_claim(_claim_text(options), "appliance"))
        report(f"both sides proved the claim; the GateManager is pinned: {enrolment.pin.describe()}")
    known = state.known()
    report(f"enrolled as {known.name}{f' in {known.domain}' if known.domain else ''}")


def _claim_text(options: argparse.Namespace) -> str:
    from gatelink.exceptions import InputError

    if options.claim is not None:
        return str(options.claim)
    try:
        if options.claim_file == "-":
            data = sys.stdin.buffer.read(MAX_CLAIM_BYTES)
        else:
            with Path(options.claim_file).open("rb") as file:
                data = file.read(MAX_CLAIM_BYTES)
    except OSError as error:
        raise InputError(f"cannot read the claim from {options.claim_file}: {error.strerror}") from None
    return data.decode(errors="replace")


def _run(options: argparse.Namespace) -> None:
    from .host.instance import Instance
    from .host.network.linux import LinuxNetwork
    from .host.state import State
    from .logs import report
    from .services.daemon import Daemon
    from .services.names import NamingLoop

    state = State(options.state)
    with state.exclusive(), Instance():
        _make_runtime(options.runtime)
        daemon = Daemon(
            state,
            options.runtime,
            LinuxNetwork(options.runtime, report),
            report,
            page_user=options.page_user,
            trial_s=options.trial_s,
            provision_from=tuple(options.provision_from),
        )
        NamingLoop().run_until_complete(daemon.run())
        # All is put away. What may be left is a thread that waits for a name server which does not answer: the
        # interpreter would wait with it, for minutes.
        sys.stderr.flush()
        os._exit(0)


def _page(options: argparse.Namespace) -> None:
    import asyncio

    from .logs import report
    from .web.server import PageServer

    async def serve() -> None:
        await PageServer(options.runtime, options.interface, options.user, report).run()

    asyncio.run(serve())


def _secret(options: argparse.Namespace) -> None:
    from .core.local import DoneAnswer
    from .core.local_requests import SecretRequest
    from .exceptions import DaemonError
    from .host.page_certificate import fingerprint, page_certificate
    from .host.page_secret import PageSecret
    from .host.state import State
    from .logs import report
    from .services.local_client import ask

    State(options.state).prepare()
    secret = PageSecret(options.state)
    if options.reset:
        try:
            ask(options.runtime, SecretRequest(), DoneAnswer)
        except DaemonError:
            secret.reset()
        report("the password is forgotten: the secret on the label is good again")
    sys.stdout.write(f"{secret.secret()}\n")
    report(f"fingerprint of the page's certificate: {fingerprint(page_certificate(options.state))}")


def _init(options: argparse.Namespace) -> None:
    from .config import checked
    from .host.config_store import FILE_NAME, save
    from .host.page_secret import PageSecret
    from .host.state import State
    from .logs import report

    State(options.state).prepare()
    PageSecret(options.state).secret()
    if (options.state / FILE_NAME).exists():
        report("this unit has a configuration already; it is left as it is")
        return
    import ipaddress

    values = {"dev_interfaces": [options.dev_interface], "dev_address": options.dev_address}
    config = checked(values, "init")
    network = ipaddress.IPv4Interface(options.dev_address).network
    pool = {"enabled": True, "first": str(network[100]), "last": str(network[149])} if network.prefixlen <= 24 else {}
    save(options.state, checked({**values, "dhcp": pool}, "init") if pool else config)
    report(f"the set-up page will be at http://{options.dev_address.partition('/')[0]} on {options.dev_interface}")


def _status(options: argparse.Namespace) -> None:
    from .core.local_requests import StatusRequest
    from .core.status import Status, status_text
    from .services.local_client import ask

    status = ask(options.runtime, StatusRequest(), Status)
    if options.json:
        import msgspec

        text = msgspec.json.format(msgspec.json.encode(status), indent=2).decode() + "\n"
    else:
        from .logs import printable

        text = "".join(f"{printable(row)}\n" for row in status_text(status).splitlines())
    sys.stdout.write(text)


def _lock(options: argparse.Namespace) -> None:
    from .core.local_requests import LockChangedRequest
    from .core.status import Status
    from .exceptions import DaemonError
    from .host.lock import RemoteAccessLock
    from .logs import report
    from .services.local_client import ask

    RemoteAccessLock(options.state).set(locked=options.locked)
    word = "locked" if options.locked else "allowed"
    try:
        ask(options.runtime, LockChangedRequest(), Status)
    except DaemonError as error:
        if (options.runtime / SOCKET_NAME).exists():
            raise DaemonError(f"remote access is {word} from now on, but running sessions may go on: {error}") from None
        report(f"remote access is {word}; the daemon does not run")
    else:
        report(f"remote access is {word}")


def _config_show(options: argparse.Namespace) -> None:
    from .config import to_toml
    from .host.config_store import load

    sys.stdout.write(to_toml(load(options.state), hide_passwords=True))


def _config_check(options: argparse.Namespace) -> int:
    from .exceptions import ConfigError
    from .host.config_store import load
    from .logs import report

    try:
        load(options.state)
    except ConfigError as error:
        for mistake in error.mistakes:
            report(f"config: {mistake}")
        return 1
    report("config: no mistakes")
    return 0


def _config_set(options: argparse.Namespace) -> None:
    from .config import with_value
    from .host.config_store import load, save
    from .host.state import State

    changed = with_value(load(options.state), options.key, options.value)
    State(options.state).prepare()
    save(options.state, changed)


def _reset(options: argparse.Namespace) -> None:
    from gatelink.exceptions import InputError

    from .host.state import State
    from .logs import report

    if not options.yes:
        raise InputError("this forgets the GateManager and this unit's key for good; say sm reset --yes if you mean it")
    state = State(options.state)
    with state.exclusive():
        state.reset()
    report("forgotten: pin, identity and names; configuration and lock are as they were")


def _cleanup(options: argparse.Namespace) -> None:
    from .host.instance import Instance
    from .host.network.linux import LinuxNetwork
    from .logs import report

    with Instance():
        _make_runtime(options.runtime)
        LinuxNetwork(options.runtime, report).clean_up()


def _page_user() -> str:
    return os.environ.get("GATELINK_SM_PAGE_USER") or DEFAULT_PAGE_USER


def _make_runtime(runtime: Path) -> None:
    from .exceptions import DaemonError

    try:
        # The socket in it is for the set-up page's user as well; every file has rights of its own.
        runtime.mkdir(mode=0o711, parents=True, exist_ok=True)
    except OSError as error:
        raise DaemonError(f"cannot make the runtime directory {runtime}: {error.strerror}") from None

"""``lm login``, ``lm logout`` and ``lm agent``."""

from __future__ import annotations

import contextlib
import subprocess
import sys

import click

from gatelink.exceptions import LinkError
from lm_client.core.local import Done, Failure, GetStatus, LoggedIn, Logout, Status
from lm_client.exceptions import AgentError
from lm_client.home import Home

from .asking import ask, expect, receive
from .passwords import own_password

_password_file = click.option("--password-file", metavar="FILE", help="Take the password from a file's first line.")
_password_stdin = click.option("--password-stdin", is_flag=True, help="Take the password from standard input.")


@click.command("login")
@_password_file
@_password_stdin
@click.pass_obj
def login_command(home_option: str | None, password_file: str | None, password_stdin: bool) -> None:
    """Log in with certificate and password; stays logged in, in the background, until `lm logout`."""
    home = Home.find(home_option)
    home.profile()
    with contextlib.suppress(AgentError):
        status = ask(home, GetStatus(), Status)
        click.echo(f"Logged in to {status.gm_name} as {status.user} already.")
        return
    password = own_password(password_file, password_stdin)
    describe(expect(_start(home, password), LoggedIn))


@click.command("logout")
@click.pass_obj
def logout_command(home_option: str | None) -> None:
    """End every session and the login."""
    home = Home.find(home_option)
    ask(home, Logout(), Done)
    click.echo("Logged out.")


@click.command("agent")
@_password_file
@_password_stdin
@click.pass_obj
def agent_command(home_option: str | None, password_file: str | None, password_stdin: bool) -> int:
    """Log in and stay in the foreground (for a container or a service manager)."""
    from lm_client.agent.program import run

    home = Home.find(home_option)
    home.profile()
    failures: list[str] = []

    def report(word: LoggedIn | Failure) -> None:
        if isinstance(word, LoggedIn):
            describe(word)
        else:
            failures.append(word.text)

    status = run(home, own_password(password_file, password_stdin), report, sys.stderr)
    if failures:
        click.echo(f"lm: {failures[0]}", err=True)
    return status


def describe(word: LoggedIn) -> None:
    """Tell the person who he is, and to whom."""
    from .enrolment import how_verified

    click.echo(f"Logged in to {word.gm_name} as {word.user}, by {word.way}.")
    click.echo(f"GateManager: serial {word.pin.serial} (key {word.pin.fingerprint}); {how_verified(word.pin.how)}.")
    if word.locked_now:
        click.echo("First contact: locked to this certificate from now on. Compare the serial with your administrator.")


def _start(home: Home, password: str) -> LoggedIn | Failure:
    """Start the agent in a session of its own and wait for its report."""
    import socket

    home.ensure()
    argv = [sys.executable, "-m", "lm_client.agent", str(home.path)]
    ours, theirs = socket.socketpair()
    with ours, theirs:
        process = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=theirs.fileno(), cwd="/", start_new_session=True)
        theirs.close()
        if process.stdin is None:
            raise LinkError("the agent has no standard input")
        with process.stdin:
            process.stdin.write(password.encode())
        try:
            answer = receive(ours)
        except AgentError:
            raise AgentError(f"the agent could not be started; look at {home.log_path}") from None
    # A failed agent is about to end; a good one stays, and is nobody's child when this command ends.
    if isinstance(answer, Failure):
        process.wait()
        return answer
    process.returncode = 0
    if not isinstance(answer, LoggedIn):
        raise AgentError("the agent is of another version: `lm logout`, then `lm login`")
    return answer

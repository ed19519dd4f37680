"""``lm login``, ``lm logout`` and ``lm agent``."""

from __future__ import annotations

import asyncio
import contextlib
import sys
from typing import TYPE_CHECKING

import click

from lm_client.asking import ask, expect
from lm_client.core.local import Challenge, Done, Failure, GetStatus, LoggedIn, Logout, Status
from lm_client.exceptions import AgentError
from lm_client.home import Home, be_user
from lm_client.starting import Reply, Starting

from .passwords import ask_for_code, own_password

if TYPE_CHECKING:
    from gatelink.messages import LoginAnswer, LoginChallenge, LoginResend

_password_file = click.option("--password-file", metavar="FILE", help="Take the password from a file's first line.")
_password_stdin = click.option("--password-stdin", is_flag=True, help="Take the password from standard input.")


@click.command("login")
@click.option("--gm", "addresses", multiple=True, metavar="ADDRESS", help="Without a certificate: where the GM is.")
@click.option("--user", metavar="NAME", help="Without a certificate: who you are.")
@_password_file
@_password_stdin
@click.option("--code", metavar="CODE", help="The second factor, for scripts; else it is asked for.")
@click.pass_obj
def login_command(
    home_option: str | None,
    addresses: tuple[str, ...],
    user: str | None,
    password_file: str | None,
    password_stdin: bool,
    code: str | None,
) -> None:
    """Log in; stays logged in, in the background, until `lm logout`.

    With the certificate of this PC and your password; or, where your administrator allows it, with name and password
    alone: `lm login --gm gm.example.com --user anna`, the first time.
    """
    home = Home.find(home_option)
    if addresses or user:
        be_user(home, user or "", addresses)
    home.profile()
    with contextlib.suppress(AgentError):
        status = ask(home, GetStatus(), Status)
        click.echo(f"Logged in to {status.gm_name} as {status.user} already.")
        return
    password = own_password(password_file, password_stdin)
    with Starting(home) as starting:
        reply = starting.begin(password)
        while isinstance(reply, Challenge):
            reply = _answer(starting, reply, code)
            code = None
    describe(expect(reply, LoggedIn))


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

    status = run(home, own_password(password_file, password_stdin), report, sys.stderr, _prompt)
    if failures:
        click.echo(f"lm: {failures[0]}", err=True)
    return status


async def _prompt(challenge: LoginChallenge) -> LoginAnswer | LoginResend:
    """Ask on the terminal, in a thread: the connection's keepalives go on meanwhile."""
    from gatelink.messages import LoginAnswer, LoginResend

    click.echo(challenge.text, err=True)
    typed = await asyncio.to_thread(ask_for_code, challenge.kinds)
    kind, _, code = typed.rpartition(" ")
    chosen = next((each for each in challenge.kinds if each == kind.strip().lower()), challenge.kinds[0])
    return LoginAnswer(kind=chosen, code=code) if code else LoginResend()


def describe(word: LoggedIn) -> None:
    """Tell the person who he is, and to whom."""
    from .enrolment import how_verified

    click.echo(f"Logged in to {word.gm_name} as {word.user}, by {word.way}.")
    click.echo(f"GateManager: serial {word.pin.serial} (key {word.pin.fingerprint}); {how_verified(word.pin.how)}.")
    if word.locked_now:
        click.echo("First contact: locked to this certificate from now on. Compare the serial with your administrator.")


def _answer(starting: Starting, challenge: Challenge, given: str | None) -> Reply:
    """Ask the person for a code, or take the one from the command line. ``totp 123456`` says which kind it is."""
    if challenge.text:
        click.echo(challenge.text, err=True)
    typed = given if given is not None else ask_for_code(challenge.kinds)
    if not typed:
        return starting.send_again()
    kind, _, code = typed.rpartition(" ")
    return starting.give(kind.strip().lower() or challenge.kinds[0], code)

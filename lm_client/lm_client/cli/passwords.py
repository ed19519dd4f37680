"""How a password gets in: asked for without echo, or from a file or standard input; never as an argument."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import click

from gatelink.exceptions import InputError


def given_password(file: str | None, from_stdin: bool) -> str | None:
    """Return the first line of the file or of standard input; None if neither was asked for. Raises InputError."""
    if file and from_stdin:
        raise InputError("--password-file and --password-stdin: give one of them")
    if file:
        try:
            text = Path(file).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            why = error.strerror if isinstance(error, OSError) else "it is no text"
            raise InputError(f"cannot read the password from {file}: {why}") from None
        return _first_line(text)
    return _first_line(sys.stdin.readline()) if from_stdin else None


def new_password(file: str | None, from_stdin: bool) -> str:
    """Return a password that the person chose, asked for twice. Raises InputError if it is too short."""
    from lm_client.redeeming import check_new_password

    password = given_password(file, from_stdin)
    if password is None:
        password = _ask("New password: ")
        if _ask("The same again: ") != password:
            raise InputError("the two passwords are not the same: nothing was done")
    check_new_password(password)
    return password


def own_password(file: str | None, from_stdin: bool) -> str:
    """Return the person's password."""
    given = given_password(file, from_stdin)
    password = _ask("Password: ") if given is None else given
    if not password:
        raise InputError("the password is empty")
    return password


def ask_for_code(kinds: Sequence[str]) -> str:
    """Return what the person typed; empty asks for another message."""
    if not sys.stdin.isatty():
        raise InputError(f"the GateManager asks for a code ({', '.join(kinds)}): use --code")
    also = f"; for {' or '.join(kinds[1:])} write that word before it" if len(kinds) > 1 else ""
    again = ", Enter alone sends it again" if "sms" in kinds else ""
    prompt = f"Code ({kinds[0]}{also}{again}): "
    typed: str = click.prompt(prompt, prompt_suffix="", default="", show_default=False, err=True)
    return typed.strip()


def _ask(prompt: str) -> str:
    if not sys.stdin.isatty():
        raise InputError("there is no terminal to ask for the password: use --password-file or --password-stdin")
    answer: str = click.prompt(prompt, prompt_suffix="", hide_input=True, default="", show_default=False, err=True)
    return answer


def _first_line(text: str) -> str:
    return text.partition("\n")[0].rstrip("\r")

"""Puts the commands together and turns errors into one line and an exit status."""

from __future__ import annotations

import os
import sys
from importlib import import_module
from pathlib import Path
from typing import Final

import click

from gatelink.exceptions import GatelinkError, InputError
from gm_server import __version__

from .place import DATA_VARIABLE, DEFAULT_DATA, Place

_COMMANDS: Final = {
    "init": "server",
    "serve": "server",
    "status": "server",
    "health": "server",
    "domains": "domains",
    "claims": "claims",
    "appliances": "appliances",
    "devices": "devices",
    "services": "services",
    "users": "users",
    "groups": "groups",
    "roles": "roles",
    "administrators": "server",
    "invitations": "invitations",
    "grants": "grants",
    "requests": "requests",
    "sessions": "sessions",
    "relays": "relays",
    "firmware": "firmware",
    "certificates": "certificates",
    "tokens": "tokens",
    "sms": "sms",
    "certificate": "certificate",
    "alarms": "alarms",
    "audit": "audit",
    "database": "database",
    "settings": "settings",
    "backup": "backup",
    "restore": "backup",
}
"""Command -> module: only what runs is imported."""


class _Program(click.Group):
    """The commands, in the order in which a newcomer needs them."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        module = _COMMANDS.get(cmd_name)
        if module is None:
            return None
        command = getattr(import_module(f"gm_server.cli.{module}"), cmd_name)
        return command if isinstance(command, click.Command) else None


@click.group(cls=_Program, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="gm", message="%(prog)s %(version)s")
@click.option(
    "--data",
    type=click.Path(path_type=Path, file_okay=False),
    default=None,
    help=f"The data directory; else ${DATA_VARIABLE}, else {DEFAULT_DATA}.",
)
@click.pass_context
def program(context: click.Context, data: Path | None) -> None:
    """Run and administer a Gatelink GateManager."""
    context.obj = Place(data or Path(os.environ.get(DATA_VARIABLE) or DEFAULT_DATA))


def main() -> None:
    """Entry point of ``gm``."""
    sys.exit(run(sys.argv[1:]))


def run(arguments: list[str]) -> int:
    """Run one command line; return the exit status."""
    try:
        program.main(arguments or ["--help"], prog_name="gm", standalone_mode=False)
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.format_message())
    except click.exceptions.Exit as error:
        return error.exit_code
    except click.Abort:
        return _fail("interrupted", 130)
    except click.UsageError as error:
        hint = f" (see `{error.ctx.command_path} -h`)" if error.ctx else ""
        return _fail(error.format_message() + hint, 2)
    except click.ClickException as error:
        return _fail(error.format_message(), 2)
    except InputError as error:
        return _fail(str(error), 2)
    except GatelinkError as error:
        return _fail(str(error), 1)
    except BrokenPipeError:
        # Who reads our output has seen enough; without this Python complains again at its exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except OSError as error:
        where = f": {error.filename}" if error.filename else ""
        return _fail(f"{error.strerror or error}{where}", 1)
    return 0


def _fail(text: str, status: int) -> int:
    click.echo("gm: " + " ".join(text.split()), err=True)
    return status

"""The command ``lm``. Commands import what they need when they run: a person waits for each of them.

``group`` has the words; commands that belong together are one module; ``asking`` speaks to the agent, ``passwords`` to
the person. Errors are one line on standard error: exit status 2 for wrong input, 1 for everything else that failed.
"""

from __future__ import annotations

import sys


def main() -> None:
    """Entry point."""
    sys.exit(run(sys.argv[1:]))


def run(arguments: list[str]) -> int:
    """Run a command; return its exit status."""
    import click

    from gatelink.exceptions import GatelinkError, InputError

    from .group import lm

    try:
        status = lm.main(arguments, prog_name="lm", standalone_mode=False)
    except click.exceptions.Abort:
        click.echo("lm: aborted", err=True)
        return 1
    except click.ClickException as error:
        click.echo(f"lm: {error.format_message()}", err=True)
        return 2
    except InputError as error:
        click.echo(f"lm: {error}", err=True)
        return 2
    except GatelinkError as error:
        click.echo(f"lm: {error}", err=True)
        return 1
    return status if isinstance(status, int) else 0

"""``lm completion``, and what the shell offers behind a command: the names of machines and devices."""

from __future__ import annotations

import click

from gatelink.exceptions import GatelinkError
from lm_client.core.names import path_of
from lm_client.home import Home

_MAX_OFFERED = 200


@click.command("completion")
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion_command(shell: str) -> None:
    """Print the script for your shell: eval "$(lm completion bash)" in ~/.bashrc."""
    from click.shell_completion import get_completion_class

    from .group import lm

    found = get_completion_class(shell)
    if found is None:
        raise click.ClickException(f"{shell} is not known to click")
    click.echo(found(lm, {}, "lm", "_LM_COMPLETE").source())


def complete_target(context: click.Context, _parameter: click.Parameter, incomplete: str) -> list[str]:
    """Offer appliances, and devices behind a name that is spelt out: press-1, press-1/plc."""
    from lm_client.asking import ask
    from lm_client.core.local import Appliances, GetAppliances

    try:
        tree = ask(Home.find(context.obj), GetAppliances(fresh=False), Appliances).appliances
    except GatelinkError:
        return []
    offered = [name for each in tree for name in (each.name, path_of(each))]
    if "/" in incomplete:
        offered += [
            f"{name}/{device.name}" for each in tree for name in (each.name, path_of(each)) for device in each.devices
        ]
    return _fitting(offered, incomplete)


def complete_session(context: click.Context, _parameter: click.Parameter, incomplete: str) -> list[str]:
    """Offer the appliances that are connected."""
    from lm_client.asking import ask
    from lm_client.core.local import GetStatus, Status

    try:
        sessions = ask(Home.find(context.obj), GetStatus(), Status).sessions
    except GatelinkError:
        return []
    return _fitting([each.name for each in sessions], incomplete)


def _fitting(offered: list[str], incomplete: str) -> list[str]:
    start = incomplete.casefold()
    return sorted({name for name in offered if name.casefold().startswith(start)})[:_MAX_OFFERED]

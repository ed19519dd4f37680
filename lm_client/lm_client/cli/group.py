"""The words after ``lm``, and where each is made."""

from __future__ import annotations

import importlib
import os
from typing import Final

import click

from lm_client import __version__

_MODULES: Final = {
    "redeem": "enrolment",
    "import": "enrolment",
    "login": "login",
    "logout": "login",
    "agent": "login",
    "list": "tree",
    "tree": "tree",
    "favourite": "tree",
    "request": "access",
    "profiles": "profiles",
    "completion": "completion",
    "doctor": "doctor",
    "connect": "sessions",
    "disconnect": "sessions",
    "status": "status",
    "ui": "ui",
    "trust": "trust",
    "service": "service",
}


class _LazyGroup(click.Group):
    """Imports a command's module when it is called, not before."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_MODULES)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _MODULES:
            return None
        module = importlib.import_module(f"lm_client.cli.{_MODULES[cmd_name]}")
        command: click.Command = getattr(module, f"{cmd_name}_command")
        return command


@click.command(cls=_LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--home", metavar="DIR", help="Where this user's files are [GATELINK_LM_HOME, ~/.config/gatelink-lm].")
@click.option(
    "--profile", metavar="NAME", help="Another GateManager or user beside the usual one [GATELINK_LM_PROFILE]."
)
@click.version_option(__version__, message="lm %(version)s")
@click.pass_context
def lm(context: click.Context, home: str | None, profile: str | None) -> None:
    """Reach devices behind a SiteManager."""
    context.obj = home
    if name := profile or os.environ.get("GATELINK_LM_PROFILE"):
        from lm_client.home import Home

        context.obj = str(Home.find(home).of_profile(name).path)

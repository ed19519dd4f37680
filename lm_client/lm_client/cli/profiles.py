"""``lm profiles``."""

from __future__ import annotations

from typing import Any

import click

from gatelink.exceptions import GatelinkError, InputError
from lm_client.asking import ask
from lm_client.core.local import GetStatus, Status
from lm_client.home import Home

from .showing import show_json


@click.command("profiles")
@click.option("--json", "as_json", is_flag=True, help="For programs.")
@click.pass_obj
def profiles_command(home_option: str | None, as_json: bool) -> None:
    """Show who this person is at which GateManagers; `lm --profile NAME ...` is another one."""
    home = Home.find(home_option)
    rows = [_row("", home), *(_row(name, home.of_profile(name)) for name in home.profiles)]
    if as_json:
        show_json(rows)
        return
    for row in rows:
        who = f"{row['user'] or '-'} at {row['gm'] or '-'}"
        click.echo(f"{row['profile'] or '(usual)':16}  {who}  {'logged in' if row['logged_in'] else ''}".rstrip())


def _row(name: str, home: Home) -> dict[str, Any]:
    try:
        profile = home.profile()
        user, gm = profile.user, profile.addresses[0]
    except InputError:
        user = gm = ""
    try:
        ask(home, GetStatus(), Status)
    except GatelinkError:
        logged_in = False
    else:
        logged_in = True
    return {"profile": name, "user": user, "gm": gm, "logged_in": logged_in}

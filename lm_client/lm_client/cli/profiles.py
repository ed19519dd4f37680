"""``lm profiles``."""

from __future__ import annotations

import click

from lm_client.home import Home

from .showing import show_json


@click.command("profiles")
@click.option("--json", "as_json", is_flag=True, help="For programs.")
@click.pass_obj
def profiles_command(home_option: str | None, as_json: bool) -> None:
    """Show who this person is at which GateManagers; `lm --profile NAME ...` is another one."""
    from lm_client.profiles import profile_views

    rows = profile_views(Home.find(home_option))
    if as_json:
        show_json(rows)
        return
    for row in rows:
        who = f"{row.user or '-'} at {row.gm or '-'}"
        click.echo(f"{row.profile or '(usual)':16}  {who}  {'logged in' if row.logged_in else ''}".rstrip())

"""``lm tree`` (``lm list``) and ``lm favourite``."""

from __future__ import annotations

import click

from lm_client.asking import ask
from lm_client.core.local import Appliances, ApplianceView, GetAppliances
from lm_client.core.names import path_of, resolve
from lm_client.home import Home

from .completion import complete_target
from .showing import show_devices, show_json


@click.command("tree")
@click.argument("words", nargs=-1, metavar="[WORD]...")
@click.option("--favourites", is_flag=True, help="Only those.")
@click.option("--json", "as_json", is_flag=True, help="For programs.")
@click.pass_obj
def tree_command(home_option: str | None, words: tuple[str, ...], favourites: bool, as_json: bool) -> None:
    """Show the appliances and devices that you may reach, and which address and name to type for each.

    With WORDs only those in whose path, devices or addresses all of them occur.
    """
    from lm_client.core.branches import Branches
    from lm_client.favourites import Favourites

    home = Home.find(home_option)
    found = ask(home, GetAppliances(), Appliances).appliances
    if words:
        found = tuple(Branches(found).matches(" ".join(words)))
    if favourites:
        chosen = Favourites(home).ids
        found = tuple(each for each in found if each.appliance_id in chosen)
    if as_json:
        show_json(found)
        return
    if not found:
        sought = words or favourites
        click.echo(
            "Nothing fits." if sought else "There is nothing that you may reach. Ask your administrator for a grant."
        )
    for appliance in sorted(found, key=path_of):
        click.echo(f"{path_of(appliance)}  {_state(appliance)}")
        show_devices(appliance.devices)
        if appliance.requestable:
            names = ", ".join(device.name for device in appliance.requestable)
            click.echo(f"  with approval: {names}; ask with `lm request {appliance.name} --reason ...`")


list_command = tree_command


@click.command("favourite")
@click.argument("target", metavar="APPLIANCE", shell_complete=complete_target)
@click.pass_obj
def favourite_command(home_option: str | None, target: str) -> None:
    """Make an appliance a favourite, or no favourite any more."""
    from lm_client.favourites import Favourites

    home = Home.find(home_option)
    appliance = resolve(target, ask(home, GetAppliances(), Appliances).appliances).appliance
    is_one = Favourites(home).toggle(appliance.appliance_id)
    click.echo(f"{path_of(appliance)} is {'a favourite now' if is_one else 'no favourite any more'}.")


def _state(appliance: ApplianceView) -> str:
    state = "locked at the machine" if appliance.locked else "online" if appliance.online else "offline"
    others = f", connected now: {', '.join(appliance.connected_users)}" if appliance.connected_users else ""
    return state + others

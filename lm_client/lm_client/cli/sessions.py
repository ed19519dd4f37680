"""``lm connect`` and ``lm disconnect``."""

from __future__ import annotations

import click

from gatelink.exceptions import InputError
from lm_client.asking import ask
from lm_client.core.local import (
    ConnectedTo,
    ConnectTo,
    Disconnected,
    DisconnectFrom,
)
from lm_client.core.names import path_of
from lm_client.home import Home

from .completion import complete_session, complete_target
from .showing import show_devices, show_json

_MAX_REASON_CHARACTERS = 512


@click.command("connect")
@click.argument("target", metavar="APPLIANCE[/DEVICE]", shell_complete=complete_target)
@click.option("--reason", default="", metavar="TEXT", help="Why; it is noted in the GateManager's log.")
@click.option("--real", "insist", is_flag=True, help="Own addresses even if they hide hosts of a network of this PC.")
@click.option("--bridged", is_flag=True, help="Be in the machine's Ethernet: for discovery in vendor tools.")
@click.option("--address", "plant", default="", metavar="IP[/LENGTH]", help="With --bridged: of this PC in the plant.")
@click.option("--json", "as_json", is_flag=True, help="For programs.")
@click.pass_obj
def connect_command(
    home_option: str | None, target: str, reason: str, insist: bool, bridged: bool, plant: str, as_json: bool
) -> None:
    """Reach all your devices behind an appliance, or one of them.

    At their own addresses where those are free on this PC, else at virtual ones that stay the same; what to type is
    shown, and each device has a name.
    """
    if len(reason) > _MAX_REASON_CHARACTERS:
        raise InputError(f"the reason has {len(reason)} characters; at most {_MAX_REASON_CHARACTERS} fit")
    if plant and not bridged:
        raise InputError("--address is this PC's address in the plant: it needs --bridged")
    wanted = ConnectTo(target=target, reason=reason, insist=insist, bridged=bridged, plant_address=plant)
    answer = ask(Home.find(home_option), wanted, ConnectedTo)
    if as_json:
        show_json(answer)
        return
    session = answer.session
    took = "already connected" if answer.already else f"connected in {answer.took_s * 1000:.0f} ms"
    click.echo(f"{path_of(session)}: {took}, through {session.interface}")
    show_devices(session.devices)
    if answer.key_is_new:
        click.echo(f"  First session with it. Its key: {session.key_fingerprint}; compare with its own page.")
    for warning in answer.warnings:
        click.echo(f"lm: warning: {warning}", err=True)


@click.command("disconnect")
@click.argument("target", metavar="[APPLIANCE]", required=False, shell_complete=complete_session)
@click.option("--all", "everything", is_flag=True, help="End every session.")
@click.option("--json", "as_json", is_flag=True, help="For programs.")
@click.pass_obj
def disconnect_command(home_option: str | None, target: str | None, everything: bool, as_json: bool) -> None:
    """End a session; routes and adapter are gone when this returns."""
    if bool(target) == everything:
        raise InputError("name an appliance, or use --all")
    answer = ask(Home.find(home_option), DisconnectFrom(target=target), Disconnected)
    if as_json:
        show_json(answer)
        return
    click.echo(f"Disconnected: {', '.join(answer.names)}" if answer.names else "There was no session.")

"""``gm requests``."""

from __future__ import annotations

import click

from gm_server.accounts.seals import Seals
from gm_server.acts.paging import MAX_ITEMS, Paging
from gm_server.acts.requests import RequestState, Sender, approve, deny, list_requests

from .output import json_option, show
from .place import Place, pass_place


@click.group()
def requests() -> None:
    """Requests for access: what waits for an approver, and what became of the others."""


@requests.command("list")
@click.option("--waiting", is_flag=True, help="Only those that wait.")
@click.option("--limit", type=click.IntRange(1, MAX_ITEMS), default=100, show_default=True, help="How many at most.")
@json_option
@pass_place
def list_(place: Place, limit: int, *, waiting: bool, as_json: bool) -> None:
    """List the latest, newest first."""
    with place.read() as session:
        state: RequestState | None = "waiting" if waiting else None
        found = list_requests(session, place.actor, Paging(limit=limit), place.now, state=state)
    rows = [
        {
            "id": view.id,
            "state": view.state,
            "user": view.user,
            "appliance": view.appliance,
            "devices": list(view.devices) or "all",
            "hours": view.duration_s / 3600,
            "from_at": view.valid_from,
            "made_at": view.created_at,
            "decided_by": view.decided_by,
            "until_at": view.valid_until,
            "reason": view.reason,
        }
        for view in found.items
    ]
    show(rows, as_json=as_json, empty="nobody asks for access")


@requests.command("approve")
@click.argument("request_id")
@click.option("--text", default="", help="A word to who asked.")
@pass_place
def approve_(place: Place, request_id: str, text: str) -> None:
    """Let it be; the access ends by itself."""
    with place.write() as session:
        view = approve(session, place.actor, request_id, text, _sender(place), place.now)
    click.echo(f"approved {view.id}: {view.user} may reach {view.appliance}")


@requests.command("deny")
@click.argument("request_id")
@click.option("--text", default="", help="A word to who asked.")
@pass_place
def deny_(place: Place, request_id: str, text: str) -> None:
    """Let it not be; what was approved before ends within two seconds."""
    with place.write() as session:
        view = deny(session, place.actor, request_id, text, _sender(place), place.now)
    click.echo(f"denied {view.id}")


def _sender(place: Place) -> Sender:
    config = place.directory.config()
    seals = Seals.of_authority(place.directory.user_authority())
    return Sender(config.name, f"https://{config.addresses[0]}", seals)

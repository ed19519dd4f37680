"""``gm grants``."""

from __future__ import annotations

from typing import Any

import click

from gatelink.exceptions import InputError
from gm_server.access.weeks import Weekly, describe, parse_window
from gm_server.acts import grants as acts
from gm_server.acts.grants import NewGrant

from .output import json_option, show
from .pages import every
from .place import Place, pass_place
from .times import MomentType


@click.group()
def grants() -> None:
    """Who may reach what."""


@grants.command("add")
@click.argument("user", default="")
@click.option("--group", default="", help="Instead of a user: everybody in this group (a path like acme/technicians).")
@click.option("--domain", default="", help="Every device in this domain and below.")
@click.option("--appliance", default="", help="Every device of this appliance (a path).")
@click.option("--device", default="", help="This device (a path like acme/line3/press1/plc).")
@click.option("--service", "services", multiple=True, help="Only this service, by name; may be repeated.")
@click.option("--from", "valid_from", type=MomentType(), default=None, help="Begin, like '2026-03-01 08:00' or +2h.")
@click.option("--until", "valid_until", type=MomentType(), default=None, help="End, like '2026-03-01 17:00' or +8h.")
@click.option("--weekly", multiple=True, help="Only within the week, like 'mon-fri 08:00-17:00'; may be repeated.")
@click.option("--zone", default="UTC", show_default=True, help="Whose clock --weekly means, like Europe/Berlin.")
@click.option("--needs-reason", is_flag=True, help="A session is opened only with a reason.")
@click.option("--needs-approval", is_flag=True, help="It only lets USER ask for access, which somebody approves.")
@click.option("--bridged", is_flag=True, help="Sessions may be bridged (Ethernet) as well.")
@click.option("--reason", default="", help="Why; kept with the grant.")
@pass_place
def add(
    place: Place,
    /,
    user: str,
    group: str,
    services: tuple[str, ...],
    weekly: tuple[str, ...],
    zone: str,
    **terms: Any,
) -> None:
    """Let USER reach a device, an appliance's devices, or those of a domain."""
    if not user and not group:
        raise InputError("say who: a USER, or --group")
    windows = Weekly(zone=zone, windows=tuple(map(parse_window, weekly))) if weekly else None
    new = NewGrant(user=user, group=group, services=services or None, weekly=windows, **terms)
    with place.write() as session:
        grant = acts.add_grant(session, place.actor, new, place.now)
    click.echo(f"added the grant {grant.id}")


@grants.command("list")
@json_option
@pass_place
def list_(place: Place, *, as_json: bool) -> None:
    """List all grants, newest first."""
    with place.read() as session:
        rows = [
            {
                "id": grant.id,
                "user": grant.holder if grant.holder_kind == "user" else f"group {grant.holder}",
                "target": f"{grant.target_kind} {grant.target}",
                "services": "all" if grant.services is None else list(grant.services),
                "state": grant.state,
                "valid_from_at": grant.valid_from,
                "valid_until_at": grant.valid_until,
                "weekly": describe(grant.weekly) if grant.weekly else "",
                "terms": [
                    word
                    for word, holds in (
                        ("reason", grant.needs_reason),
                        ("approval", grant.needs_approval),
                        ("bridged", grant.bridged),
                    )
                    if holds
                ],
                "reason": grant.reason,
            }
            for grant in every(lambda page: acts.list_grants(session, place.actor, page, place.now))
        ]
    show(rows, as_json=as_json, empty="there are no grants")


@grants.command("end")
@click.argument("grant_id")
@pass_place
def end(place: Place, grant_id: str) -> None:
    """End a grant; sessions that need it end within two seconds."""
    with place.write() as session:
        acts.end_grant(session, place.actor, grant_id, place.now)
    click.echo(f"ended {grant_id}")

"""``gm grants``."""

from __future__ import annotations

import click

from gm_server.access.grants import Target, add_grant, end_grant, list_grants

from .output import json_option, show
from .place import Place, pass_place
from .times import MomentType


@click.group()
def grants() -> None:
    """Who may reach what."""


@grants.command("add")
@click.argument("user")
@click.option("--domain", default=None, help="Every device in this domain and below.")
@click.option("--appliance", default=None, help="Every device of this appliance (a path).")
@click.option("--device", default=None, help="This device (a path like acme/line3/press1/plc).")
@click.option("--service", "services", multiple=True, help="Only this service, by name; may be repeated.")
@click.option("--from", "valid_from", type=MomentType(), default=None, help="Begin, like '2026-03-01 08:00' or +2h.")
@click.option("--until", "valid_until", type=MomentType(), default=None, help="End, like '2026-03-01 17:00' or +8h.")
@click.option("--reason", default="", help="Why; kept with the grant.")
@pass_place
def add(
    place: Place,
    user: str,
    domain: str | None,
    appliance: str | None,
    device: str | None,
    services: tuple[str, ...],
    valid_from: float | None,
    valid_until: float | None,
    reason: str,
) -> None:
    """Let USER reach a device, an appliance's devices, or those of a domain."""
    target = Target(domain, appliance, device)
    with place.write() as session:
        grant = add_grant(session, user, target, services, valid_from, valid_until, reason, place.now)
    click.echo(f"added the grant {grant.id}")


@grants.command("list")
@json_option
@pass_place
def list_(place: Place, *, as_json: bool) -> None:
    """List all grants, newest first."""
    now = place.now
    with place.read() as session:
        rows = [
            {
                "id": row.grant_id,
                "user": row.user,
                "target": row.target,
                "services": "all" if row.services is None else list(row.services),
                "state": row.state(now),
                "valid_from_at": row.valid_from,
                "valid_until_at": row.valid_until,
                "reason": row.reason,
            }
            for row in list_grants(session)
        ]
    show(rows, as_json=as_json, empty="there are no grants")


@grants.command("end")
@click.argument("grant_id")
@pass_place
def end(place: Place, grant_id: str) -> None:
    """End a grant; sessions that need it end within two seconds."""
    with place.write() as session:
        end_grant(session, grant_id, place.now)
    click.echo(f"ended {grant_id}")

"""``gm certificates``: those of users. The GateManager's own: ``gm certificate``."""

from __future__ import annotations

import click

from gm_server.acts import certificates as acts

from .output import json_option, show
from .pages import every
from .place import Place, pass_place


@click.group()
def certificates() -> None:
    """Users' certificates: by which LinkManagers and browsers are known."""


@certificates.command("list")
@click.option("--user", default="", help="Only those of this user.")
@json_option
@pass_place
def list_(place: Place, user: str, *, as_json: bool) -> None:
    """List all certificates, newest first."""
    with place.read() as session:
        rows = [
            {
                "id": item.id,
                "user": item.user,
                "name": item.name,
                "origin": item.origin,
                "state": item.state,
                "serial": item.serial,
                "issued_at": item.issued_at,
                "last_seen_at": item.last_seen_at,
                "expires_at": item.expires_at,
            }
            for item in every(lambda page: acts.list_certificates(session, place.actor, page, place.now, user))
        ]
    show(rows, as_json=as_json, empty="there are no certificates")


@certificates.command("revoke")
@click.argument("certificate_id")
@pass_place
def revoke(place: Place, certificate_id: str) -> None:
    """Never accept a certificate again; what is open by it ends within two seconds."""
    with place.write() as session:
        acts.revoke_certificate(session, place.actor, certificate_id, place.now)
    click.echo(f"revoked {certificate_id}")

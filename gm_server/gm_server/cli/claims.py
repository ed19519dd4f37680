"""``gm claims``."""

from __future__ import annotations

import click

from gm_server.appliances.registry import add_appliance, get_appliance, path_of
from gm_server.database.tables import Appliance
from gm_server.enrolment.claims import create_claim, list_claims, revoke_claim
from gm_server.exceptions import Conflict, NotFound

from .handing_over import handing_over_options, rows, sender
from .output import json_option, show, show_one
from .place import Place, pass_place


@click.group()
def claims() -> None:
    """One-time rights of SiteManagers to enrol."""


@claims.command("create")
@click.option("--domain", required=True, help="The domain that the SiteManager is to belong to.")
@click.option("--name", required=True, help="The SiteManager's name there.")
@click.option("--replace", is_flag=True, help="For another unit in the place of one that is enrolled already.")
@handing_over_options
@json_option
@pass_place
def create(
    place: Place, domain: str, name: str, days: float, *, replace: bool, without_fingerprint: bool, as_json: bool
) -> None:
    """Make a claim and print its text. The SiteManager is known from now on, so its devices can be added."""
    origin = sender(place, without_fingerprint=without_fingerprint)
    with place.write() as session:
        try:
            appliance = get_appliance(session, f"{domain.strip('/')}/{name}")
        except NotFound:
            appliance = add_appliance(session, domain, name, place.now)
        if appliance.state == "active" and not replace:
            raise Conflict(f"{domain}/{name} is enrolled already; --replace is for another unit in its place")
        record, text = create_claim(session, appliance, origin, days, place.now)
        path = path_of(session, appliance)
    if as_json:
        fields = {"id": record.id, "appliance": path, "appliance_id": appliance.id, "claim": text}
        show_one({**fields, "expires_at": record.expires_at}, as_json=True)
        return
    click.echo(f"claim {record.id} for {path}; on the SiteManager: sm enrol, and paste this text:", err=True)
    click.echo(text)


@claims.command("list")
@json_option
@pass_place
def list_(place: Place, *, as_json: bool) -> None:
    """List all claims, newest first."""
    with place.read() as session:
        found = [
            (claim, path_of(session, session.get_one(Appliance, claim.appliance_id))) for claim in list_claims(session)
        ]
    show(rows(found, "appliance", place.now), as_json=as_json, empty="there are no claims")


@claims.command("revoke")
@click.argument("claim_id")
@pass_place
def revoke(place: Place, claim_id: str) -> None:
    """Close a claim that was not used yet."""
    with place.write() as session:
        revoke_claim(session, claim_id, place.now)
    click.echo(f"revoked {claim_id}")

"""``gm claims``."""

from __future__ import annotations

import click

from gm_server.acts import appliances as appliance_acts
from gm_server.acts import claims as acts
from gm_server.exceptions import Conflict, NotFound

from .handing_over import handing_over_options, sender
from .output import json_option, show, show_one
from .pages import every
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
        by, now = place.actor, place.now
        try:
            appliance = appliance_acts.get_appliance(session, by, f"{domain.strip('/')}/{name}", now)
        except NotFound:
            appliance = appliance_acts.add_appliance(session, by, domain, name, now)
        if appliance.state == "active" and not replace:
            raise Conflict(f"{appliance.path} is enrolled already; --replace is for another unit in its place")
        claim = acts.create_claim(session, by, appliance.id, origin, days, now, replace=replace)
    if as_json:
        fields = {"id": claim.id, "appliance": claim.appliance, "appliance_id": claim.appliance_id, "claim": claim.text}
        show_one({**fields, "expires_at": claim.expires_at}, as_json=True)
        return
    click.echo(f"claim {claim.id} for {claim.appliance}; on the SiteManager: sm enrol, and paste this text:", err=True)
    click.echo(claim.text)


@claims.command("list")
@json_option
@pass_place
def list_(place: Place, *, as_json: bool) -> None:
    """List all claims, newest first."""
    with place.read() as session:
        rows = [
            {
                "id": claim.id,
                "appliance": claim.appliance,
                "state": claim.state,
                "created_at": claim.created_at,
                "expires_at": claim.expires_at,
                "used_at": claim.used_at,
            }
            for claim in every(lambda page: acts.list_claims(session, place.actor, page, place.now))
        ]
    show(rows, as_json=as_json, empty="there are no claims")


@claims.command("revoke")
@click.argument("claim_id")
@pass_place
def revoke(place: Place, claim_id: str) -> None:
    """Close a claim that was not used yet."""
    with place.write() as session:
        acts.revoke_claim(session, place.actor, claim_id, place.now)
    click.echo(f"revoked {claim_id}")

"""``gm invitations``."""

from __future__ import annotations

import click

from gm_server.acts import invitations as acts

from .handing_over import handing_over_options, link, sender
from .output import json_option, show, show_one
from .pages import every
from .place import Place, pass_place


@click.group()
def invitations() -> None:
    """One-time rights of users to set up a LinkManager."""


@invitations.command("create")
@click.argument("user")
@handing_over_options
@json_option
@pass_place
def create(place: Place, user: str, days: float, *, without_fingerprint: bool, as_json: bool) -> None:
    """Make an invitation for USER and print its text. Who redeems it chooses the password."""
    origin = sender(place, without_fingerprint=without_fingerprint)
    with place.write() as session:
        made = acts.invite(session, place.actor, user, origin, days, place.now)
    if as_json:
        fields = {
            "link": link(place, made.text),
            "id": made.id,
            "user": made.user,
            "invitation": made.text,
            "expires_at": made.expires_at,
        }
        show_one(fields, as_json=True)
        return
    click.echo(f"invitation {made.id} for {made.user}; in a browser: {link(place, made.text)}", err=True)
    click.echo("or on the PC: lm redeem, and paste this text:", err=True)
    click.echo(made.text)


@invitations.command("list")
@json_option
@pass_place
def list_(place: Place, *, as_json: bool) -> None:
    """List all invitations, newest first."""
    with place.read() as session:
        rows = [
            {
                "id": invitation.id,
                "user": invitation.user,
                "state": invitation.state,
                "created_at": invitation.created_at,
                "expires_at": invitation.expires_at,
                "used_at": invitation.used_at,
            }
            for invitation in every(lambda page: acts.list_invitations(session, place.actor, page, place.now))
        ]
    show(rows, as_json=as_json, empty="there are no invitations")


@invitations.command("revoke")
@click.argument("invitation_id")
@pass_place
def revoke(place: Place, invitation_id: str) -> None:
    """Close an invitation that was not used yet."""
    with place.write() as session:
        acts.revoke_invitation(session, place.actor, invitation_id, place.now)
    click.echo(f"revoked {invitation_id}")

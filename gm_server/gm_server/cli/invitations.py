"""``gm invitations``."""

from __future__ import annotations

import click

from gm_server.accounts.users import get_user
from gm_server.database.tables import User
from gm_server.enrolment.claims import create_invitation, list_invitations, revoke_claim

from .handing_over import handing_over_options, rows, sender
from .output import json_option, show, show_one
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
        record, text = create_invitation(session, get_user(session, user), origin, days, place.now)
    if as_json:
        fields = {"id": record.id, "user": user, "invitation": text, "expires_at": record.expires_at}
        show_one(fields, as_json=True)
        return
    click.echo(f"invitation {record.id} for {user}; on the PC: lm redeem, and paste this text:", err=True)
    click.echo(text)


@invitations.command("list")
@json_option
@pass_place
def list_(place: Place, *, as_json: bool) -> None:
    """List all invitations, newest first."""
    with place.read() as session:
        found = [(claim, session.get_one(User, claim.user_id).name) for claim in list_invitations(session)]
    show(rows(found, "user", place.now), as_json=as_json, empty="there are no invitations")


@invitations.command("revoke")
@click.argument("invitation_id")
@pass_place
def revoke(place: Place, invitation_id: str) -> None:
    """Close an invitation that was not used yet."""
    with place.write() as session:
        revoke_claim(session, invitation_id, place.now)
    click.echo(f"revoked {invitation_id}")

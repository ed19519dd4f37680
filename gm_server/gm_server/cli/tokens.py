"""``gm tokens``."""

from __future__ import annotations

from typing import cast

import click

from gm_server.access.tokens import SCOPES
from gm_server.acts import tokens as acts
from gm_server.acts.tokens import NewToken, Scope

from .output import json_option, show, show_one
from .pages import every
from .place import Place, pass_place


@click.group()
def tokens() -> None:
    """With an API token a program acts for a user."""


@tokens.command("create")
@click.argument("user")
@click.option("--name", required=True, help="What it is for.")
@click.option("--scope", "scopes", type=click.Choice(tuple(SCOPES)), multiple=True, help="May be repeated.")
@click.option("--days", type=float, default=90, show_default=True, help="How long it can be used.")
@json_option
@pass_place
def create(place: Place, user: str, name: str, scopes: tuple[str, ...], days: float, *, as_json: bool) -> None:
    """Make a token that acts for USER and print it; it is shown this once. Without --scope it only reads."""
    new = NewToken(name=name, scopes=cast("tuple[Scope, ...]", scopes or ("read",)), days=days)
    with place.write() as session:
        made = acts.make_token(session, place.actor, new, place.now, user=user)
    if as_json:
        show_one({"id": made.id, "user": made.user, "token": made.secret, "expires_at": made.expires_at}, as_json=True)
        return
    click.echo(f"token {made.id} of {made.user} ({', '.join(made.scopes)}):", err=True)
    click.echo(made.secret)


@tokens.command("list")
@json_option
@pass_place
def list_(place: Place, *, as_json: bool) -> None:
    """List all tokens."""
    with place.read() as session:
        rows = [
            {
                "id": token.id,
                "user": token.user,
                "name": token.name,
                "scopes": list(token.scopes),
                "state": token.state,
                "expires_at": token.expires_at,
                "last_used_at": token.last_used_at,
            }
            for token in every(lambda page: acts.list_tokens(session, place.actor, page, place.now))
        ]
    show(rows, as_json=as_json, empty="there are no tokens")


@tokens.command("revoke")
@click.argument("token_id")
@pass_place
def revoke(place: Place, token_id: str) -> None:
    """Let a token be of no use from now on."""
    with place.write() as session:
        acts.revoke_token(session, place.actor, token_id, place.now)
    click.echo(f"revoked {token_id}")

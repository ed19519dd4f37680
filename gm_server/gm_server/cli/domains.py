"""``gm domains``."""

from __future__ import annotations

import click

from gm_server.acts import domains as acts
from gm_server.acts.domains import DomainChange
from gm_server.database.tables import LOGIN_METHODS

from .output import json_option, show
from .pages import every
from .place import Place, pass_place


@click.group()
def domains() -> None:
    """The tree that owns appliances and users."""


@domains.command("add")
@click.argument("path")
@pass_place
def add(place: Place, path: str) -> None:
    """Make the domain PATH, like acme or acme/line3."""
    with place.write() as session:
        domain = acts.add_domain(session, place.actor, path, place.now)
    click.echo(f"added the domain {domain.path}")


@domains.command("list")
@json_option
@pass_place
def list_(place: Place, *, as_json: bool) -> None:
    """List all domains."""
    with place.read() as session:
        rows = [
            {
                "path": domain.path,
                "id": domain.id,
                "appliances": domain.appliances,
                "users": domain.users,
                "login_method": domain.login_method,
                "created_at": domain.created_at,
            }
            for domain in every(lambda page: acts.list_domains(session, place.actor, page, place.now))
        ]
    show(rows, as_json=as_json, empty="there are no domains; `gm domains add NAME` makes one")


@domains.command("move")
@click.argument("path")
@click.argument("new_path")
@pass_place
def move(place: Place, path: str, new_path: str) -> None:
    """Rename the domain PATH, or move it elsewhere in the tree, with all that it holds."""
    with place.write() as session:
        domain = acts.change_domain(session, place.actor, path, DomainChange(path=new_path), place.now)
    click.echo(f"{path} is {domain.path} now")


@domains.command("login-method")
@click.argument("path")
@click.argument("method", type=click.Choice(("inherited", *LOGIN_METHODS)))
@pass_place
def login_method(place: Place, path: str, method: str) -> None:
    """Say how users of the domain PATH, and below, log in where nothing nearer says otherwise."""
    chosen = None if method == "inherited" else method
    change = DomainChange(login_method=chosen)  # type: ignore[arg-type]  # one of the choices
    with place.write() as session:
        acts.change_domain(session, place.actor, path, change, place.now)
    click.echo(f"{path}: {method}")


@domains.command("remove")
@click.argument("path")
@pass_place
def remove(place: Place, path: str) -> None:
    """Remove the empty domain PATH."""
    with place.write() as session:
        acts.remove_domain(session, place.actor, path, place.now)
    click.echo(f"removed the domain {path}")

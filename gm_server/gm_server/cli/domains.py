"""``gm domains``."""

from __future__ import annotations

import click

from gm_server.appliances.domains import add_domain, list_domains, remove_domain, rename_domain

from .output import json_option, show
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
        domain = add_domain(session, path, place.now)
    click.echo(f"added the domain {domain.path}")


@domains.command("list")
@json_option
@pass_place
def list_(place: Place, *, as_json: bool) -> None:
    """List all domains."""
    with place.read() as session:
        rows = [
            {"path": domain.path, "id": domain.id, "created_at": domain.created_at} for domain in list_domains(session)
        ]
    show(rows, as_json=as_json, empty="there are no domains; `gm domains add NAME` makes one")


@domains.command("move")
@click.argument("path")
@click.argument("new_path")
@pass_place
def move(place: Place, path: str, new_path: str) -> None:
    """Rename the domain PATH, or move it elsewhere in the tree, with all that it holds."""
    with place.write() as session:
        domain = rename_domain(session, path, new_path)
    click.echo(f"{path} is {domain.path} now")


@domains.command("remove")
@click.argument("path")
@pass_place
def remove(place: Place, path: str) -> None:
    """Remove the empty domain PATH."""
    with place.write() as session:
        remove_domain(session, path)
    click.echo(f"removed the domain {path}")

"""``gm groups``."""

from __future__ import annotations

import click

from gm_server.acts import groups as acts
from gm_server.acts import users as user_acts
from gm_server.acts.groups import GroupChange
from gm_server.names import split_path

from .output import json_option, show
from .pages import every
from .place import Place, pass_place


@click.group()
def groups() -> None:
    """People who get grants and roles together. One is named by its whole path, like acme/technicians."""


@groups.command("add")
@click.argument("path")
@pass_place
def add(place: Place, path: str) -> None:
    """Make the group PATH (a domain's path and the group's name)."""
    domain, name = split_path(path, "a group")
    with place.write() as session:
        group = acts.add_group(session, place.actor, domain, name, place.now)
    click.echo(f"added the group {group.path} ({group.id})")


@groups.command("list")
@json_option
@pass_place
def list_(place: Place, *, as_json: bool) -> None:
    """List all groups."""
    with place.read() as session:
        rows = [
            {"path": group.path, "id": group.id, "members": group.members, "created_at": group.created_at}
            for group in every(lambda page: acts.list_groups(session, place.actor, page, place.now))
        ]
    show(rows, as_json=as_json, empty="there are no groups; `gm groups add` makes one")


@groups.command("rename")
@click.argument("path")
@click.argument("name")
@pass_place
def rename(place: Place, path: str, name: str) -> None:
    """Give the group PATH another NAME."""
    with place.write() as session:
        group = acts.change_group(session, place.actor, path, GroupChange(name=name), place.now)
    click.echo(f"{path} is {group.path} now")


@groups.command("members")
@click.argument("path")
@json_option
@pass_place
def members(place: Place, path: str, *, as_json: bool) -> None:
    """List who is in the group PATH."""
    with place.read() as session:
        rows = [
            {"name": user.name, "id": user.id, "domain": user.domain, "state": user.state}
            for user in every(lambda page: user_acts.list_users(session, place.actor, page, place.now, group=path))
        ]
    show(rows, as_json=as_json, empty=f"nobody is in {path}")


@groups.command("join")
@click.argument("path")
@click.argument("user")
@pass_place
def join(place: Place, path: str, user: str) -> None:
    """Take USER into the group PATH."""
    with place.write() as session:
        acts.add_member(session, place.actor, path, user, place.now)
    click.echo(f"{user} is in {path}")


@groups.command("leave")
@click.argument("path")
@click.argument("user")
@pass_place
def leave(place: Place, path: str, user: str) -> None:
    """Take USER out of the group PATH; what is open by it ends within two seconds."""
    with place.write() as session:
        acts.remove_member(session, place.actor, path, user, place.now)
    click.echo(f"{user} is not in {path}")


@groups.command("remove")
@click.argument("path")
@pass_place
def remove(place: Place, path: str) -> None:
    """Remove the group PATH with its grants and roles."""
    with place.write() as session:
        acts.remove_group(session, place.actor, path, place.now)
    click.echo(f"removed the group {path}")

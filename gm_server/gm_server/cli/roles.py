"""``gm roles``."""

from __future__ import annotations

from typing import cast, get_args

import click

from gatelink.exceptions import InputError
from gm_server.access.actors import RoleName
from gm_server.acts import roles as acts

from .output import json_option, show
from .pages import every
from .place import Place, pass_place


@click.group()
def roles() -> None:
    """What people may see, decide and change, in a domain and below. What they may reach: `gm grants`."""


@roles.command("give")
@click.argument("role", type=click.Choice(get_args(RoleName)))
@click.argument("user", default="")
@click.option("--group", default="", help="Instead of a user: everybody in this group (a path).")
@click.option("--domain", default=None, help="In this domain and below.")
@click.option("--everywhere", is_flag=True, help="On the whole server.")
@pass_place
def give(place: Place, role: str, user: str, group: str, domain: str | None, *, everywhere: bool) -> None:
    """Give USER the ROLE administrator, operator, approver or observer."""
    if (domain is None) != everywhere:
        raise InputError("say where: --domain PATH, or --everywhere")
    with place.write() as session:
        name = cast(RoleName, role)
        given = acts.give_role(session, place.actor, name, place.now, user=user, group=group, domain=domain)
    click.echo(f"{given.holder} is {given.role} {'everywhere' if given.domain is None else 'in ' + given.domain}")


@roles.command("list")
@json_option
@pass_place
def list_(place: Place, *, as_json: bool) -> None:
    """List all roles."""
    with place.read() as session:
        rows = [
            {
                "id": role.id,
                "role": role.role,
                "holder": role.holder if role.holder_kind == "user" else f"group {role.holder}",
                "domain": "everywhere" if role.domain is None else role.domain,
                "created_at": role.created_at,
            }
            for role in every(lambda page: acts.list_roles(session, place.actor, page, place.now))
        ]
    show(rows, as_json=as_json, empty="nobody has a role; `gm roles give administrator USER --everywhere` begins")


@roles.command("take")
@click.argument("role_id")
@pass_place
def take(place: Place, role_id: str) -> None:
    """Take a role from who has it."""
    with place.write() as session:
        acts.take_role(session, place.actor, role_id, place.now)
    click.echo(f"took {role_id}")

"""``gm users``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from gatelink.files import write_atomically
from gm_server.accounts.passwords import check_password, hash_password
from gm_server.acts import users as acts
from gm_server.acts.certificates import export_certificate
from gm_server.acts.users import NewUser, UserChange
from gm_server.database.tables import LOGIN_METHODS
from gm_server.exceptions import Conflict

from .output import json_option, show
from .pages import every
from .place import Place, pass_place


@click.group()
def users() -> None:
    """People."""


@users.command("add")
@click.argument("name")
@click.option("--domain", required=True, help="The domain that the user belongs to.")
@click.option("--full-name", default="", help="As people call the person.")
@click.option("--email", default="", help="Where invitations and news go.")
@click.option("--phone", default="", help="International, for codes by text message: +4915112345678.")
@pass_place
def add(place: Place, name: str, domain: str, full_name: str, email: str, phone: str) -> None:
    """Make the user NAME. `gm invitations create` lets the person in, `gm grants add` says to what."""
    with place.write() as session:
        new = NewUser(name=name, domain=domain, full_name=full_name, email=email, phone=phone)
        user = acts.add_user(session, place.actor, new, place.now)
    click.echo(f"added the user {user.name} ({user.id})")


@users.command("change")
@click.argument("name")
@click.option("--name", "new_name", default=None, help="Another name to log in with.")
@click.option("--domain", default=None, help="Move to this domain.")
@click.option("--full-name", default=None, help="As people call the person.")
@click.option("--email", default=None, help="Where invitations and news go.")
@click.option("--phone", default=None, help="International, for codes by text message.")
@click.option("--login-method", type=click.Choice(("inherited", *LOGIN_METHODS)), default=None, help="How to log in.")
@pass_place
def change(place: Place, /, name: str, new_name: str | None, login_method: str | None, **fields: str | None) -> None:
    """Change the user NAME."""
    given: dict[str, Any] = {key: value for key, value in {**fields, "name": new_name}.items() if value is not None}
    if login_method is not None:
        given["login_method"] = None if login_method == "inherited" else login_method
    with place.write() as session:
        user = acts.change_user(session, place.actor, name, UserChange(**given), place.now)
    click.echo(f"changed the user {user.name}")


@users.command("list")
@json_option
@pass_place
def list_(place: Place, *, as_json: bool) -> None:
    """List all users."""
    with place.read() as session:
        rows = [
            {
                "name": user.name,
                "id": user.id,
                "domain": user.domain,
                "state": user.state,
                "roles": [f"{role.role} {'everywhere' if role.domain is None else role.domain}" for role in user.roles],
                "login_method": user.login_method,
                "created_at": user.created_at,
                "last_login_at": user.last_login_at,
            }
            for user in every(lambda page: acts.list_users(session, place.actor, page, place.now))
        ]
    show(rows, as_json=as_json, empty="there are no users; `gm users add` makes one")


@users.command("disable")
@click.argument("name")
@pass_place
def disable(place: Place, name: str) -> None:
    """Let a user in no more; what the user has open ends within two seconds."""
    with place.write() as session:
        acts.disable_user(session, place.actor, name, place.now)
    click.echo(f"disabled {name}")


@users.command("enable")
@click.argument("name")
@pass_place
def enable(place: Place, name: str) -> None:
    """Let a disabled user in again."""
    with place.write() as session:
        acts.enable_user(session, place.actor, name, place.now)
    click.echo(f"enabled {name}")


@users.command("remove")
@click.argument("name")
@pass_place
def remove(place: Place, name: str) -> None:
    """Remove a user with certificates, invitations and grants; the history keeps the name."""
    with place.write() as session:
        acts.remove_user(session, place.actor, name, place.now)
    click.echo(f"removed {name}")


@users.command("export-p12")
@click.argument("name")
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@click.option(
    "--password",
    envvar="GATELINK_GM_PASSWORD",
    prompt=True,
    hide_input=True,
    confirmation_prompt=True,
    help="Asked for if neither this nor $GATELINK_GM_PASSWORD is given.",
)
@pass_place
def export_p12(place: Place, name: str, file: Path, password: str) -> None:
    """Make a certificate for NAME here and write it, with its key, to FILE (PKCS#12).

    It is the way for those who cannot redeem an invitation. The password protects the file, and becomes the user's.
    """
    if file.exists():
        raise Conflict(f"{file} exists already; name a new file")
    check_password(password, name)
    authority = place.directory.user_authority()
    with place.write() as session:
        password_hash = hash_password(password)
        data = export_certificate(session, place.actor, name, authority, password, password_hash, place.now)
        # Written inside the transaction: without the file the certificate is of no use to anybody.
        write_atomically(file, data)
    click.echo(f"wrote {file}; hand it over, and the password on another way")

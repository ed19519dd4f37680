"""``gm users``."""

from __future__ import annotations

from pathlib import Path

import click

from gatelink.files import write_atomically
from gm_server.accounts.export import export_identity
from gm_server.accounts.passwords import check_password, hash_password
from gm_server.accounts.users import add_user, disable_user, enable_user, get_user, list_users, remove_user
from gm_server.exceptions import Conflict

from .output import json_option, show
from .place import Place, pass_place


@click.group()
def users() -> None:
    """People."""


@users.command("add")
@click.argument("name")
@click.option("--domain", required=True, help="The domain that the user belongs to.")
@pass_place
def add(place: Place, name: str, domain: str) -> None:
    """Make the user NAME. `gm invitations create` lets the person in, `gm grants add` says to what."""
    with place.write() as session:
        user = add_user(session, name, domain, place.now)
    click.echo(f"added the user {user.name} ({user.id})")


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
                "domain": domain,
                "state": "disabled" if user.disabled_at else "active" if user.password_hash else "invited",
                "created_at": user.created_at,
            }
            for user, domain in list_users(session)
        ]
    show(rows, as_json=as_json, empty="there are no users; `gm users add` makes one")


@users.command("disable")
@click.argument("name")
@pass_place
def disable(place: Place, name: str) -> None:
    """Let a user in no more; what the user has open ends within two seconds."""
    with place.write() as session:
        disable_user(session, name, place.now)
    click.echo(f"disabled {name}")


@users.command("enable")
@click.argument("name")
@pass_place
def enable(place: Place, name: str) -> None:
    """Let a disabled user in again."""
    with place.write() as session:
        enable_user(session, name)
    click.echo(f"enabled {name}")


@users.command("remove")
@click.argument("name")
@pass_place
def remove(place: Place, name: str) -> None:
    """Remove a user with certificates, invitations and grants; the history keeps the name."""
    with place.write() as session:
        remove_user(session, name)
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
        user = get_user(session, name)
        data = export_identity(session, user, authority, password, hash_password(password), place.now)
        # Written inside the transaction: without the file the certificate is of no use to anybody.
        write_atomically(file, data)
    click.echo(f"wrote {file}; hand it over, and the password on another way")

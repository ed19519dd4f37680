"""``gm init``, ``gm serve``, ``gm status``."""

from __future__ import annotations

import datetime
import sys
from typing import Literal

import click
import msgspec

from gatelink.exceptions import InputError
from gatelink.identity import fingerprint_text, key_sha256
from gm_server import config
from gm_server.config import Config
from gm_server.exceptions import Conflict, NotFound, NotRunning
from gm_server.local.messages import AskStatus, Status
from gm_server.names import check_name, check_path

from .output import json_option, show_one
from .place import Place, pass_place


@click.command()
@click.option("--name", required=True, help="What people see of this GateManager.")
@click.option("--address", "addresses", required=True, multiple=True, help="Host name or IP address; may be repeated.")
@click.option("--listen", "listen", multiple=True, help="Address and port to listen on instead of the usual ones.")
@click.option("--administrator", default=None, help="Login name of who is to administer it; asked for on a terminal.")
@click.option("--domain", default="main", show_default=True, help="The first domain, which the administrator is in.")
@pass_place
def init(
    place: Place,
    name: str,
    addresses: tuple[str, ...],
    listen: tuple[str, ...],
    administrator: str | None,
    domain: str,
) -> None:
    """Make a new GateManager: certificates, database, settings, and an invitation for who administers it."""
    directory = place.directory
    if directory.is_finished:
        raise Conflict(f"{directory.path} holds a GateManager already")
    data = {**msgspec.to_builtins(Config()), "name": name, "addresses": list(addresses)}
    if listen:
        data["listen"] = list(listen)
    settings = config.parse(data)
    if len(name) > 48:
        raise InputError(f"the name can have 48 characters, got {len(name)}")
    if administrator is None and sys.stdin.isatty() and sys.stdout.isatty():
        question = "Login name of the first administrator (nothing: add one later)"
        administrator = click.prompt(question, default="", show_default=False)
    if administrator:
        check_name(administrator, "a user")
        check_path(domain)
    from gm_server.database.engine import Database
    from gm_server.database.revisions import upgrade

    directory.make(settings, datetime.datetime.now(datetime.UTC))
    database = Database(directory.database_path, create=True)
    try:
        upgrade(database)
    finally:
        database.close()
    directory.finish(settings)
    identity = directory.appliance_identity()
    click.echo(f"made the GateManager {name} in {directory.path}")
    click.echo(f"its appliance certificate: serial {identity.serial}")
    click.echo(f"                           key {fingerprint_text(key_sha256(identity.certificate))}")
    if administrator:
        _invite_administrator(place, administrator, domain)
    else:
        click.echo("nobody can sign in to the portal yet: `gm administrators invite NAME --domain main` lets somebody")
    click.echo("next: `gm serve`, and in another terminal `gm domains add`, `gm claims create`, `gm users add`")


@click.group()
def administrators() -> None:
    """Who administers the whole server. Here, at the console, also when nobody can sign in any more."""


@administrators.command("invite")
@click.argument("user")
@click.option("--domain", default="main", show_default=True, help="The domain of a user that is not there yet.")
@pass_place
def invite(place: Place, user: str, domain: str) -> None:
    """Let USER administer the whole server, and invite him: he chooses a (new) password."""
    _invite_administrator(place, user, domain)


def _invite_administrator(place: Place, name: str, domain: str) -> None:
    """Make what is missing: the domain, the user, the role; print an invitation."""
    from gm_server.acts import domains, invitations, roles, users
    from gm_server.acts.users import NewUser

    from .handing_over import link, sender

    by, now = place.actor, place.now
    with place.write() as session:
        try:
            user = users.get_user(session, by, name, now)
        except NotFound:
            try:
                domains.get_domain(session, by, domain)
            except NotFound:
                domains.add_domain(session, by, domain, now)
            user = users.add_user(session, by, NewUser(name=name, domain=domain), now)
        roles.give_role(session, by, "administrator", now, user=user.id)
        made = invitations.invite(session, by, user.id, sender(place, without_fingerprint=False), 7, now)
    click.echo(f"{user.name} administers this GateManager; the invitation, good for seven days and once:")
    click.echo(link(place, made.text))


@click.command()
@click.option("--log", type=click.Choice(["text", "json"]), default="text", show_default=True, help="Form of the log.")
@pass_place
def serve(place: Place, log: Literal["text", "json"]) -> None:
    """Run the GateManager until it is stopped."""
    place.directory.check_is_finished()
    from gm_server.service.serving import serve as serve_directory

    serve_directory(place.directory, log)


@click.command()
@pass_place
def health(place: Place) -> None:
    """Succeed if the server of this data directory runs and answers: for whoever watches over a container."""
    if not isinstance(place.ask(AskStatus()), Status):
        raise NotRunning("the running server is of another version than this command")
    click.echo("ok")


@click.command()
@json_option
@pass_place
def status(place: Place, *, as_json: bool) -> None:
    """Say how the running server is."""
    answer = place.ask(AskStatus())
    if not isinstance(answer, Status):
        raise NotRunning("the running server is of another version than this command")
    fields = {
        "version": answer.version,
        "process_id": answer.process_id,
        "since_at": answer.since,
        "listening": list(answer.listening),
        "serial": answer.serial,
        "appliances": answer.appliances,
        "users": answer.users,
        "sessions": answer.sessions,
        "pending_connections": answer.pending_connections,
        "resident_MiB": round(answer.resident_bytes / 2**20, 1),
        "errors_of_strangers": [f"{kind} {count}" for kind, count in sorted(answer.strangers.items())],
    }
    show_one(fields, as_json=as_json)

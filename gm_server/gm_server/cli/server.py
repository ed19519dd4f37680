"""``gm init``, ``gm serve``, ``gm status``."""

from __future__ import annotations

import datetime

import click
import msgspec

from gatelink.exceptions import InputError
from gatelink.identity import fingerprint_text, key_sha256
from gm_server import config
from gm_server.config import Config
from gm_server.exceptions import Conflict, NotRunning
from gm_server.local.messages import AskStatus, Status

from .output import json_option, show_one
from .place import Place, pass_place


@click.command()
@click.option("--name", required=True, help="What people see of this GateManager.")
@click.option("--address", "addresses", required=True, multiple=True, help="Host name or IP address; may be repeated.")
@click.option("--listen", "listen", multiple=True, help="Address and port to listen on instead of the usual ones.")
@pass_place
def init(place: Place, name: str, addresses: tuple[str, ...], listen: tuple[str, ...]) -> None:
    """Make a new GateManager: its certificates, its database, its settings."""
    directory = place.directory
    if directory.is_finished:
        raise Conflict(f"{directory.path} holds a GateManager already")
    data = {**msgspec.to_builtins(Config()), "name": name, "addresses": list(addresses)}
    if listen:
        data["listen"] = list(listen)
    settings = config.parse(data)
    if len(name) > 48:
        raise InputError(f"the name can have 48 characters, got {len(name)}")
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
    click.echo("next: `gm serve`, and in another terminal `gm domains add`, `gm claims create`, `gm users add`")


@click.command()
@pass_place
def serve(place: Place) -> None:
    """Run the GateManager until it is stopped."""
    place.directory.check_is_finished()
    from gm_server.service.serving import serve as serve_directory

    serve_directory(place.directory)


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

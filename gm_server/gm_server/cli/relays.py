"""``gm relays``."""

from __future__ import annotations

from typing import Any

import click
from msgspec import UNSET

from gm_server.access.relays import Observed
from gm_server.acts import relays as acts
from gm_server.acts.relays import NewRelay, RelayChange, RelayView
from gm_server.local.messages import AskRelays, RelaysObserved

from .output import json_option, show
from .pages import every
from .place import Place, pass_place


@click.group()
def relays() -> None:
    """Permanent relays: TCP for logging, without anybody at a keyboard."""


@relays.command("add")
@click.argument("direction", type=click.Choice(["pull", "push"]))
@click.argument("name")
@click.argument("device")
@click.argument("port", type=click.IntRange(1, 65535))
@click.option("--user", required=True, help="Whose LinkManager carries it; a grant of his must allow it.")
@click.option("--service", default="", help="Pull: the device's service, by name.")
@click.option("--device-port", type=click.IntRange(1, 65535), default=None, help="Pull: of a service with several.")
@click.option("--off", is_flag=True, help="Turned off for now.")
@click.option("--note", default="", help="What it is for.")
@pass_place
def add(place: Place, /, device_port: int | None, off: bool, **fields: Any) -> None:
    """Carry TCP between DEVICE (a path) and a host beside USER's LinkManager.

    pull: programs connect to PORT of that host and reach the device. push: the device connects to PORT of its
    SiteManager and reaches the server that the settings of that host name.
    """
    new = NewRelay(device_port=device_port or 0, enabled=not off, **fields)
    with place.write() as session:
        relay = acts.add_relay(session, place.actor, new, place.now)
    click.echo(f"added the relay {relay.id}")
    if not relay.allowed and relay.enabled:
        wanted = "push" if relay.direction == "push" else relay.service
        click.echo(
            f"no grant allows it yet: gm grants add {relay.user} --device {relay.device} --service {wanted}", err=True
        )


@relays.command("list")
@json_option
@pass_place
def list_(place: Place, *, as_json: bool) -> None:
    """List all relays and how they are."""
    with place.read() as session:
        views = list(every(lambda page: acts.list_relays(session, place.actor, page, place.now)))
    rows = [_row(view) for view in _observed(place, views)]
    show(rows, as_json=as_json, empty="there are no relays")


@relays.command("change")
@click.argument("relay")
@click.option("--name", default=None, help="Another name.")
@click.option("--user", default=None, help="Another user, whose LinkManager carries it.")
@click.option("--port", type=click.IntRange(1, 65535), default=None, help="Where connections are taken.")
@click.option("--service", default=None, help="Pull: another service of the device.")
@click.option("--device-port", type=click.IntRange(1, 65535), default=None, help="Pull: of a service with several.")
@click.option("--on/--off", "enabled", default=None, help="Turn it on or off.")
@click.option("--note", default=None, help="What it is for.")
@pass_place
def change(place: Place, /, relay: str, **fields: Any) -> None:
    """Change RELAY (an id, or a name that only one has)."""
    wanted = {name: UNSET if value is None else value for name, value in fields.items()}
    with place.write() as session:
        acts.change_relay(session, place.actor, relay, RelayChange(**wanted), place.now)
    click.echo(f"changed {relay}")


@relays.command("remove")
@click.argument("relay")
@pass_place
def remove(place: Place, relay: str) -> None:
    """Remove RELAY; what it carries ends within two seconds."""
    with place.write() as session:
        acts.remove_relay(session, place.actor, relay, place.now)
    click.echo(f"removed {relay}")


def _observed(place: Place, views: list[RelayView]) -> list[RelayView]:
    answer = place.ask_if_running(AskRelays())
    if not isinstance(answer, RelaysObserved):
        return [acts.observed(view, None) for view in views]
    return [
        acts.observed(
            view,
            Observed(
                online=view.appliance_id in answer.online,
                locked=view.appliance_id in answer.locked,
                told=answer.told.get(view.id),
            ),
        )
        for view in views
    ]


def _row(view: RelayView) -> dict[str, Any]:
    return {
        "id": view.id,
        "name": view.name,
        "direction": view.direction,
        "device": view.device,
        "port": view.port,
        "service": view.service,
        "user": view.user,
        "state": view.condition,
        "text": view.text,
        "connections": view.connections,
        "opened": view.opened,
        "refused": view.refused,
        "bytes_to_device": view.bytes_to_device,
        "bytes_from_device": view.bytes_from_device,
        "note": view.note,
    }

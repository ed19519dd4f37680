"""``gm services``."""

from __future__ import annotations

import click

from gm_server.acts import devices as acts
from gm_server.appliances.devices import describe_ports
from gm_server.appliances.presets import presets
from gm_server.appliances.presets import services as services_of
from gm_server.names import check_name

from .output import json_option, show
from .place import Place, pass_place


@click.group()
def services() -> None:
    """What may be opened of a device. It is named by its whole path, like acme/line3/press1/plc."""


@services.command("add")
@click.argument("device")
@click.argument("name")
@click.option("--tcp", multiple=True, metavar="PORT[-PORT]", help="TCP port or range; may be repeated.")
@click.option("--udp", multiple=True, metavar="PORT[-PORT]", help="UDP port or range; may be repeated.")
@click.option("--icmp", is_flag=True, help="Echo request (ping).")
@pass_place
def add(place: Place, device: str, name: str, tcp: tuple[str, ...], udp: tuple[str, ...], *, icmp: bool) -> None:
    """Add the service NAME to DEVICE. Without ports NAME is a preset (`gm services presets`), like modbus or s7."""
    ports = services_of(check_name(name, "a service"), tcp, udp, icmp=icmp)
    with place.write() as session:
        acts.add_services(session, place.actor, device, ports, place.now)
    click.echo(f"added to {device}: {', '.join(map(describe_ports, ports))}")


@services.command("list")
@click.argument("device")
@json_option
@pass_place
def list_(place: Place, device: str, *, as_json: bool) -> None:
    """List the services of DEVICE."""
    with place.read() as session:
        rows = [
            {
                "name": ports.name,
                "protocol": ports.protocol,
                "first_port": ports.first_port or None,
                "last_port": ports.last_port or None,
            }
            for ports in acts.get_device(session, place.actor, device, place.now).services
        ]
    show(rows, as_json=as_json, empty=f"{device} has no services")


@services.command("remove")
@click.argument("device")
@click.argument("name")
@pass_place
def remove(place: Place, device: str, name: str) -> None:
    """Remove the service NAME from DEVICE."""
    with place.write() as session:
        acts.remove_service(session, place.actor, device, name, place.now)
    click.echo(f"removed {name} from {device}")


@services.command("presets")
@json_option
def presets_(*, as_json: bool) -> None:
    """List the services that have a well-known name."""
    rows = [
        {"name": name, "ports": [describe_ports(item).removeprefix(f"{name} ") for item in ports]}
        for name, ports in presets().items()
    ]
    show(rows, as_json=as_json, empty="there are no presets")

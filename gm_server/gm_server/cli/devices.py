"""``gm devices``."""

from __future__ import annotations

from typing import Any

import click

from gatelink.exceptions import InputError
from gm_server.acts import devices as acts
from gm_server.acts.devices import DeviceChange, NewDevice, check_service
from gm_server.appliances.devices import describe_ports

from .output import json_option, show
from .pages import every
from .place import Place, pass_place


@click.group()
def devices() -> None:
    """PLCs, HMIs, drives and PCs behind a SiteManager."""


@devices.command("add")
@click.argument("appliance")
@click.argument("name")
@click.argument("address")
@click.option("--preset", default="", help="With the services of this preset (`gm services presets`).")
@click.option("--mac", default="", help="Its Ethernet address; bridged sessions are filtered by it.")
@click.option("--serial", is_flag=True, help="ADDRESS is the name of a serial port of the SiteManager (`sm serial`).")
@click.option("--serial-settings", default="", metavar="LINE", help="Of its line, like 19200,8,E,1.")
@pass_place
def add(place: Place, /, appliance: str, name: str, address: str, *, mac: str, serial: bool, **fields: str) -> None:
    """Add the device NAME with its IPv4 ADDRESS in the plant to APPLIANCE (a path like acme/line3/press1)."""
    with place.write() as session:
        where = {"serial_port": address} if serial else {"address": address}
        new = NewDevice(name=name, mac=mac.lower(), **where, **fields)  # type: ignore[arg-type]
        device = acts.add_device(session, place.actor, appliance, new, place.now)
    where_text = f"{address}, virtual address {device.virtual_address}"
    click.echo(f"added {appliance}/{device.name} {where_text} ({device.id}); `gm services add` says what may be opened")


@devices.command("change")
@click.argument("path")
@click.option("--name", help="Its name from now on.")
@click.option("--address", help="Its IPv4 address in the plant.")
@click.option("--mac", help="Its Ethernet address; bridged sessions are filtered by it.")
@click.option("--serial-settings", metavar="LINE", help="Of its line, like 19200,8,E,1; empty: as at the SiteManager.")
@pass_place
def change(place: Place, /, path: str, mac: str | None, **fields: str | None) -> None:
    """Change what is given of the device PATH; sessions follow within two seconds."""
    kept: dict[str, Any] = {key: value for key, value in fields.items() if value is not None}
    if mac is not None:
        kept["mac"] = mac.lower()
    if not kept:
        raise InputError("say what is to change: `gm devices change --help` shows what can be")
    with place.write() as session:
        device = acts.change_device(session, place.actor, path, DeviceChange(**kept), place.now)
    click.echo(f"changed {device.path} ({device.id})")


@devices.command("list")
@click.argument("appliance", required=False)
@json_option
@pass_place
def list_(place: Place, appliance: str | None, *, as_json: bool) -> None:
    """List the devices of APPLIANCE, or all."""
    with place.read() as session:
        rows = [
            {
                "path": device.path,
                "id": device.id,
                "address": device.address or device.serial_port,
                "virtual_address": device.virtual_address,
                "serial_settings": device.serial_settings,
                "reachable": device.reachable,
                "services": [describe_ports(check_service(ports)) for ports in device.services],
            }
            for device in every(
                lambda page: acts.list_devices(session, place.actor, page, place.now, appliance=appliance or "")
            )
        ]
    show(rows, as_json=as_json, empty="there are no devices")


@devices.command("remove")
@click.argument("path")
@pass_place
def remove(place: Place, path: str) -> None:
    """Remove the device PATH (like acme/line3/press1/plc) with its services and grants."""
    with place.write() as session:
        acts.remove_device(session, place.actor, path, place.now)
    click.echo(f"removed {path}")

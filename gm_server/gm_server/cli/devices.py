"""``gm devices``."""

from __future__ import annotations

import click

from gm_server.appliances.devices import add_device, describe_ports, devices_by_appliance, remove_device
from gm_server.appliances.registry import get_appliance, list_appliances

from .output import json_option, show
from .place import Place, pass_place


@click.group()
def devices() -> None:
    """PLCs, HMIs, drives and PCs behind a SiteManager."""


@devices.command("add")
@click.argument("appliance")
@click.argument("name")
@click.argument("address")
@pass_place
def add(place: Place, appliance: str, name: str, address: str) -> None:
    """Add the device NAME with its IPv4 ADDRESS in the plant to APPLIANCE (a path like acme/line3/press1)."""
    with place.write() as session:
        device = add_device(session, appliance, name, address)
    click.echo(
        f"added {appliance}/{device.name} {device.address} ({device.id}); `gm services add` says what may be opened"
    )


@devices.command("list")
@click.argument("appliance", required=False)
@json_option
@pass_place
def list_(place: Place, appliance: str | None, *, as_json: bool) -> None:
    """List the devices of APPLIANCE, or all."""
    with place.read() as session:
        only = get_appliance(session, appliance).id if appliance else None
        found = devices_by_appliance(session, [only] if only else None)
        rows = [
            {
                "path": f"{domain}/{owner.name}/{device.name}",
                "id": device.device_id,
                "address": device.address,
                "virtual_address": device.virtual_address,
                "services": [describe_ports(ports) for ports in device.services],
            }
            for owner, domain in list_appliances(session)
            for device in found.get(owner.id, ())
        ]
    show(rows, as_json=as_json, empty="there are no devices")


@devices.command("remove")
@click.argument("path")
@pass_place
def remove(place: Place, path: str) -> None:
    """Remove the device PATH (like acme/line3/press1/plc) with its services and grants."""
    with place.write() as session:
        remove_device(session, path)
    click.echo(f"removed {path}")

"""``gm appliances``."""

from __future__ import annotations

from collections.abc import Iterator

import click
from sqlalchemy.orm import Session

from gm_server.acts import appliances as acts
from gm_server.acts import claims as claim_acts
from gm_server.acts.appliances import ApplianceChange
from gm_server.acts.devices import DeviceView, check_service, list_devices
from gm_server.appliances.devices import describe_ports
from gm_server.appliances.registry import get_appliance
from gm_server.local.messages import Appliances, AskAppliances, AskScan, OnlineAppliance, Scanned
from gm_server.names import printable

from .output import json_option, show, show_one
from .pages import every
from .place import Place, pass_place

SCAN_PATIENCE_S = 130.0


@click.group()
def appliances() -> None:
    """SiteManagers. One is named by its whole path, like acme/line3/press1."""


@appliances.command("list")
@json_option
@pass_place
def list_(place: Place, *, as_json: bool) -> None:
    """List all appliances; whether they are connected only while the server runs."""
    online = _online(place)
    rows = []
    with place.read() as session:
        for appliance in every(lambda page: acts.list_appliances(session, place.actor, page, place.now)):
            here = online.get(appliance.id) if online is not None else None
            rows.append(
                {
                    "path": appliance.path,
                    "id": appliance.id,
                    "state": appliance.state,
                    "online": None if online is None else here is not None,
                    "online_since_at": here.since if here else None,
                    "address": here.address if here else appliance.last_address,
                    "port": here.port if here else appliance.last_port,
                    "round_trip_ms": _milliseconds(here),
                    "last_seen_at": appliance.last_seen_at,
                }
            )
    if online is None:
        click.echo("gm: `gm serve` does not run: who is online is not known", err=True)
    show(rows, as_json=as_json, empty="there are no appliances; `gm claims create` makes the first")


@appliances.command("show")
@click.argument("path")
@json_option
@pass_place
def show_(place: Place, path: str, *, as_json: bool) -> None:
    """Show one appliance with its devices."""
    online = _online(place)
    with place.read() as session:
        appliance = acts.get_appliance(session, place.actor, path, place.now)
        here = online.get(appliance.id) if online is not None else None
        fields = {
            "path": appliance.path,
            "id": appliance.id,
            "state": appliance.state,
            "online": None if online is None else here is not None,
            "online_since_at": here.since if here else None,
            "address": here.address if here else appliance.last_address,
            "port": here.port if here else appliance.last_port,
            "round_trip_ms": _milliseconds(here),
            "software": here.software if here else appliance.software,
            "firmware": appliance.firmware,
            "created_at": appliance.created_at,
            "enrolled_at": appliance.enrolled_at,
            "last_seen_at": appliance.last_seen_at,
            "serial": appliance.serial,
            "key": appliance.key,
            "note": appliance.note,
            "devices": [_describe(device) for device in _devices(place, session, appliance.id)],
        }
    show_one(fields, as_json=as_json)


@appliances.command("waiting")
@json_option
@pass_place
def waiting(place: Place, *, as_json: bool) -> None:
    """List those that came without a claim and wait to be adopted."""
    with place.read() as session:
        rows = [
            {
                "id": item.id,
                "address": item.address,
                "software": item.software,
                "key": item.key,
                "first_seen_at": item.first_seen_at,
                "last_seen_at": item.last_seen_at,
            }
            for item in every(lambda page: claim_acts.list_waiting(session, place.actor, page))
        ]
    show(rows, as_json=as_json, empty="nobody waits")


@appliances.command("adopt")
@click.argument("waiting_id")
@click.option("--domain", required=True, help="The domain that it is to belong to.")
@click.option("--name", required=True, help="Its name there.")
@pass_place
def adopt_(place: Place, waiting_id: str, domain: str, name: str) -> None:
    """Make an appliance of a waiting one. Compare its key with the one that the SiteManager shows first."""
    with place.write() as session:
        appliance = claim_acts.adopt(session, place.actor, waiting_id, domain, name, place.now)
    click.echo(f"adopted {waiting_id} as {appliance.path} ({appliance.id}); it enrols when it asks next")


@appliances.command("rename")
@click.argument("path")
@click.argument("name")
@click.option("--domain", default=None, help="Move it to this domain as well.")
@pass_place
def rename(place: Place, path: str, name: str, domain: str | None) -> None:
    """Give an appliance another NAME."""
    with place.write() as session:
        change = ApplianceChange(name=name, domain=domain) if domain else ApplianceChange(name=name)
        renamed = acts.change_appliance(session, place.actor, path, change, place.now)
    click.echo(f"{path} is {renamed.path} now")


@appliances.command("revoke")
@click.argument("path")
@pass_place
def revoke(place: Place, path: str) -> None:
    """Never accept this appliance's certificate again; its sessions end."""
    with place.write() as session:
        acts.revoke_appliance(session, place.actor, path, place.now)
    click.echo(f"revoked {path}")


@appliances.command("remove")
@click.argument("path")
@pass_place
def remove(place: Place, path: str) -> None:
    """Remove an appliance with its devices and grants; its sessions end."""
    with place.write() as session:
        acts.remove_appliance(session, place.actor, path, place.now)
    click.echo(f"removed {path}")


@appliances.command("scan")
@click.argument("path")
@json_option
@pass_place
def scan(place: Place, path: str, *, as_json: bool) -> None:
    """Let an appliance look for devices at its machine side: some seconds, read-only, nothing that disturbs a PLC."""
    with place.read() as session:
        appliance_id = get_appliance(session, path).id
    answer = place.ask(AskScan(appliance_id), SCAN_PATIENCE_S)
    found = answer.found if isinstance(answer, Scanned) else ()
    rows = [
        {
            "address": device.address or device.mac,
            "vendor": printable(device.vendor),
            "model": printable(device.model),
            "name": printable(device.name),
            "by": ", ".join(map(printable, device.protocols)),
            "preset": printable(device.preset),
        }
        for device in found
    ]
    show(rows, as_json=as_json, empty="nobody answered at the machine side")


def _devices(place: Place, session: Session, appliance_id: str) -> Iterator[DeviceView]:
    return every(lambda page: list_devices(session, place.actor, page, place.now, appliance=appliance_id))


def _describe(device: DeviceView) -> str:
    services = ", ".join(describe_ports(check_service(ports)) for ports in device.services)
    return f"{device.name} {device.address or device.serial_port} ({services or 'no services'})"


def _online(place: Place) -> dict[str, OnlineAppliance] | None:
    answer = place.ask_if_running(AskAppliances())
    if not isinstance(answer, Appliances):
        return None
    return {appliance.appliance_id: appliance for appliance in answer.appliances}


def _milliseconds(here: OnlineAppliance | None) -> float | None:
    return None if here is None or here.round_trip_s is None else round(here.round_trip_s * 1000, 1)

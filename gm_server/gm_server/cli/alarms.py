"""``gm alarms``."""

from __future__ import annotations

import click

from gatelink.identity import fingerprint_text
from gm_server.appliances.alarms import list_alarms

from .output import json_option, show
from .place import Place, pass_place


@click.group()
def alarms() -> None:
    """Foreign certificates that SiteManagers and LinkManagers met on their way here."""


@alarms.command("list")
@click.option("--limit", type=click.IntRange(1, 100_000), default=100, show_default=True, help="How many at most.")
@json_option
@pass_place
def list_(place: Place, limit: int, *, as_json: bool) -> None:
    """List the latest, newest first."""
    with place.read() as session:
        rows = [
            {
                "reported_at": record.reported_at,
                "by": record.reporter_name,
                "at": f"{record.address}:{record.port}{' (proxy)' if record.proxy else ''}",
                "serial": record.serial,
                "key": fingerprint_text(record.key_sha256),
                "seen_at": record.last_seen_at,
            }
            for record in list_alarms(session, limit)
        ]
    show(rows, as_json=as_json, empty="nobody met a foreign certificate")

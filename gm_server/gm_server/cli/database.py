"""``gm database``."""

from __future__ import annotations

import click

from gm_server.database.revisions import KNOWN
from gm_server.database.revisions import upgrade as upgrade_database

from .place import Place, pass_place


@click.group()
def database() -> None:
    """The records."""


@database.command("upgrade")
@pass_place
def upgrade(place: Place) -> None:
    """Bring the database to this program's form; `gm serve` does it by itself."""
    opened = place.directory.database()
    try:
        done = upgrade_database(opened)
    finally:
        opened.close()
    click.echo(f"the database {'is now' if done else 'was already'} of version {KNOWN[-1]}")

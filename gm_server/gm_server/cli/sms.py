"""``gm sms``."""

from __future__ import annotations

import asyncio
import sys
import time
from typing import TextIO

import click
import msgspec

from gatelink.exceptions import GatelinkError
from gm_server.acts.texting import TEST_TEXT, change_texting, may_test, texting_settings
from gm_server.database.store import Store
from gm_server.texting.sender import Delivery, TextMessages
from gm_server.texting.settings import parse_texting

from .place import Place, pass_place


@click.group()
def sms() -> None:
    """Text messages: by which providers they are sent."""


@sms.command("show")
@pass_place
def show_(place: Place) -> None:
    """Print the providers as JSON, in their order, without their secrets."""
    with place.read() as session:
        settings = texting_settings(session, place.actor)
    click.echo(msgspec.json.format(msgspec.json.encode(settings), indent=2).decode())


@sms.command("set")
@click.argument("file", type=click.File(encoding="utf-8"), default="-")
@pass_place
def set_(place: Place, file: TextIO) -> None:
    """Use the providers in FILE (JSON as `gm sms show` prints it; - is standard input).

    A secret that is empty or left out stays as it is.
    """
    settings = parse_texting(file.read())
    with place.write() as session:
        kept = change_texting(session, place.actor, settings, place.now)
    click.echo(f"{len(kept.providers)} providers: {', '.join(provider.name for provider in kept.providers) or 'none'}")


@sms.command("test")
@click.argument("number")
@pass_place
def test(place: Place, number: str) -> None:
    """Send a test to NUMBER, like +49 151 23456789, and tell what each provider did."""
    with place.read() as session:
        recipient = may_test(session, place.actor, number)
    tried = asyncio.run(_send(place, recipient))
    for delivery in tried:
        click.echo(f"{delivery.provider}: {delivery.error or 'has taken the message'}", file=sys.stderr)
    if not tried:
        raise GatelinkError("no provider is set up: `gm sms set` does it, or the portal's settings")
    if tried[-1].error:
        raise GatelinkError("no provider has taken the message")
    click.echo(f"sent to {recipient} by {tried[-1].provider}")


async def _send(place: Place, recipient: str) -> list[Delivery]:
    store = Store(place.directory.database())
    try:
        return await TextMessages(store, time.time).deliver(recipient, TEST_TEXT, 3600.0)
    finally:
        store.close()

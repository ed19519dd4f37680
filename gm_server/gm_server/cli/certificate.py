"""``gm certificate``."""

from __future__ import annotations

import datetime

import click

from gatelink.identity import fingerprint_text, key_sha256, load_certificate, self_signed
from gatelink.pins import make_statement
from gm_server.audit.cuts import sign_again
from gm_server.database.tables import Succession
from gm_server.directory import APPLIANCE_LIFETIME_DAYS
from gm_server.local.messages import AskReload

from .output import json_option, show_one
from .place import Place, pass_place


@click.group()
def certificate() -> None:
    """The appliance certificate: what SiteManagers and LinkManagers pin."""


@certificate.command("show")
@json_option
@pass_place
def show(place: Place, *, as_json: bool) -> None:
    """Show what people compare."""
    place.directory.check_is_finished()
    der = place.directory.appliance_identity().certificate
    parsed = load_certificate(der)
    fields = {
        "serial": place.directory.appliance_identity().serial,
        "key": fingerprint_text(key_sha256(der)),
        "key_sha256": key_sha256(der).hex(),
        "not_before_at": parsed.not_valid_before_utc.timestamp(),
        "not_after_at": parsed.not_valid_after_utc.timestamp(),
    }
    show_one(fields, as_json=as_json)


@certificate.command("renew")
@click.confirmation_option("--yes", prompt="Make a new appliance certificate and put it to use?")
@pass_place
def renew(place: Place) -> None:
    """Make a new key and certificate. The old key signs that it follows, so whoever pinned the old one accepts it."""
    name = place.directory.config().name
    old = place.directory.appliance_identity()
    new = self_signed(name, datetime.datetime.now(datetime.UTC), APPLIANCE_LIFETIME_DAYS)
    statement = make_statement(old, new.certificate)
    # The statement first: one for a certificate that was never used leads nowhere, a certificate without one locks
    # everybody out.
    with place.write() as session:
        session.add(
            Succession(
                old_key_sha256=statement.old_key_sha256,
                new_certificate=statement.new_certificate,
                signature=statement.signature,
                created_at=place.now,
            )
        )
        sign_again(session, old, new)
    place.directory.replace_appliance_identity(new)
    click.echo(f"new appliance certificate: serial {new.serial} follows {old.serial}")
    if place.ask_if_running(AskReload()) is not None:
        click.echo("the running server uses it from now on")
    click.echo("claims and invitations that are out name the old one: revoke them and make new ones")

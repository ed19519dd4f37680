"""``gm settings``: what is set in the portal, from the command line."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, BinaryIO, Final

import click
import msgspec
from sqlalchemy.orm import Session

from gm_server.access.actors import Actor
from gm_server.alarms import settings as alarms
from gm_server.certificates import settings as certificates
from gm_server.mail import settings as mail

from .output import json_option, show_one
from .place import Place, pass_place

_LOAD: Final[dict[str, Callable[[Session], Any]]] = {
    "mail": lambda session: mail.shown(mail.load_mail(session)),
    "alarms": alarms.load_alarm_settings,
    "web-certificate": certificates.load_web_certificate_settings,
}


@click.group()
def settings() -> None:
    """Mail, alarms, the certificate for browsers."""


@settings.command("show")
@click.argument("name", type=click.Choice(list(_LOAD)))
@json_option
@pass_place
def show(place: Place, name: str, *, as_json: bool) -> None:
    """Show one group of settings; passwords are never shown."""
    with place.read() as session:
        found = _LOAD[name](session)
    show_one(msgspec.structs.asdict(found), as_json=as_json)


@settings.command("set")
@click.argument("name", type=click.Choice(list(_LOAD)))
@click.argument("json", type=click.File("rb"))
@pass_place
def set_(place: Place, name: str, json: BinaryIO) -> None:
    """Read one group of settings as JSON from a file (- is standard input); what is not named gets its default."""
    with place.write() as session:
        _save(session, place.actor, name, json.read(64 * 1024), place.now)
    click.echo(f"set {name}; a running server uses it within seconds")


def _save(session: Session, by: Actor, name: str, data: bytes, now: float) -> None:
    match name:
        case "mail":
            mail.save_mail(session, by, mail.parse_mail(data), now)
        case "alarms":
            alarms.save_alarm_settings(session, by, alarms.parse_alarm_settings(data), now)
        case _:
            wanted = certificates.parse_web_certificate_settings(data)
            certificates.save_web_certificate_settings(session, by, wanted, now)

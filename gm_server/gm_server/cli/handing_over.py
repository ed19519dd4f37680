"""What claims and invitations have in common: what their text says of us."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

from gatelink.claims import fingerprint_of
from gm_server.enrolment.claims import Sender

from .place import Place

F = TypeVar("F", bound=Callable[..., Any])


def handing_over_options(command: F) -> F:
    """``--days`` and ``--without-fingerprint``."""
    days = click.option("--days", type=float, default=7, show_default=True, help="How long it can be used.")
    without = click.option(
        "--without-fingerprint",
        is_flag=True,
        help="Leave out who we are; both sides still prove the secret to each other.",
    )
    return days(without(command))


def sender(place: Place, *, without_fingerprint: bool) -> Sender:
    """Return what the text says of this GateManager."""
    fingerprint = None if without_fingerprint else fingerprint_of(place.directory.appliance_identity().certificate)
    return Sender(place.directory.config().addresses, fingerprint)


def link(place: Place, text: str) -> str:
    """Return the address under which a browser redeems an invitation; its secret, behind ``#``, is sent nowhere."""
    settings = place.directory.config()
    ports = [port for _, port in settings.listeners]
    port = 443 if 443 in ports or not ports else ports[0]
    host = f"[{settings.addresses[0]}]" if ":" in settings.addresses[0] else settings.addresses[0]
    return f"https://{host}{'' if port == 443 else f':{port}'}/invitation#{text}"

"""What claims and invitations have in common: what their text says of us, how they are listed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import click

from gatelink.claims import fingerprint_of
from gm_server.database.tables import Claim
from gm_server.enrolment.claims import Sender, state_of

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


def rows(claims: Sequence[tuple[Claim, str]], title: str, now: float) -> list[dict[str, Any]]:
    """Return claims, each with what it is for, as rows."""
    return [
        {
            "id": claim.id,
            title: name,
            "state": state_of(claim, now),
            "created_at": claim.created_at,
            "expires_at": claim.expires_at,
            "used_at": claim.used_at,
        }
        for claim, name in claims
    ]

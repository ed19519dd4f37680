"""``gm sessions``."""

from __future__ import annotations

import click

from gm_server.access.history import list_history
from gm_server.local.messages import AskEnd, AskSessions, Sessions

from .output import json_option, show
from .place import Place, pass_place


@click.group()
def sessions() -> None:
    """Sessions: the live ones, and their history."""


@sessions.command("list")
@json_option
@pass_place
def list_(place: Place, *, as_json: bool) -> None:
    """List the live sessions."""
    answer = place.ask(AskSessions())
    live = answer.sessions if isinstance(answer, Sessions) else ()
    rows = [
        {
            "id": session.session_id,
            "user": session.user,
            "from": session.address,
            "appliance": session.appliance,
            "devices": list(session.devices),
            "state": session.state,
            "since_at": session.since,
            "ends_at": session.ends_at,
            "bytes_from_user": session.bytes_from_user,
            "bytes_from_appliance": session.bytes_from_appliance,
            "reason": session.reason,
        }
        for session in live
    ]
    show(rows, as_json=as_json, empty="there are no sessions")


@sessions.command("end")
@click.argument("session_id")
@pass_place
def end(place: Place, session_id: str) -> None:
    """End a live session now."""
    place.ask(AskEnd(session_id))
    click.echo(f"ended {session_id}")


@sessions.command("history")
@click.option("--limit", type=click.IntRange(1, 100_000), default=100, show_default=True, help="How many at most.")
@json_option
@pass_place
def history(place: Place, limit: int, *, as_json: bool) -> None:
    """List the latest sessions, newest first."""
    with place.read() as session:
        rows = [
            {
                "id": record.id,
                "user": record.user_name,
                "from": record.address,
                "appliance": record.appliance_path,
                "devices": record.devices,
                "requested_at": record.requested_at,
                "joined_at": record.joined_at,
                "ended_at": record.ended_at,
                "end": record.end_code,
                "bytes_from_user": record.bytes_from_user,
                "bytes_from_appliance": record.bytes_from_appliance,
                "reason": record.reason,
                "why_ended": record.end_reason,
            }
            for record in list_history(session, limit)
        ]
    show(rows, as_json=as_json, empty="there was no session yet")

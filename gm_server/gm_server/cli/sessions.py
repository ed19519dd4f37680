"""``gm sessions``."""

from __future__ import annotations

import click

from gm_server.acts import sessions as acts
from gm_server.acts.appliances import get_appliance
from gm_server.acts.users import get_user
from gm_server.local.messages import AskEnd, AskSessions, AskStatus, Sessions

from .output import json_option, show
from .pages import first
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
    place.ask(AskStatus())
    with place.write() as session:
        acts.end_session(session, place.actor, session_id, place.now)
        # Inside the transaction: what was not ended is not recorded as ended.
        place.ask(AskEnd(session_id))
    click.echo(f"ended {session_id}")


@sessions.command("end-all")
@click.option("--user", default="", help="Only those of this user.")
@click.option("--appliance", default="", help="Only those with this appliance (a path).")
@click.option("--domain", default="", help="Only those with appliances in this domain and below.")
@click.confirmation_option("--yes", prompt="End these sessions?")
@pass_place
def end_all(place: Place, user: str, appliance: str, domain: str) -> None:
    """End all live sessions, or some."""
    place.ask(AskStatus())
    by, now = place.actor, place.now
    with place.write() as session:
        user_id = get_user(session, by, user, now).id if user else ""
        appliance_id = get_appliance(session, by, appliance, now).id if appliance else ""
        ended = acts.end_sessions(session, by, now, user=user_id, appliance=appliance_id, domain=domain)
        for session_id in ended:
            place.ask(AskEnd(session_id))
    click.echo(f"ended {len(ended)} sessions")


@sessions.command("history")
@click.option("--limit", type=click.IntRange(1, 100_000), default=100, show_default=True, help="How many at most.")
@json_option
@pass_place
def history(place: Place, limit: int, *, as_json: bool) -> None:
    """List the latest sessions, newest first."""
    with place.read() as session:
        rows = [
            {
                "id": item.id,
                "user": item.user,
                "from": item.address,
                "appliance": item.appliance,
                "devices": item.devices,
                "requested_at": item.requested_at,
                "joined_at": item.joined_at,
                "ended_at": item.ended_at,
                "end": item.end_code,
                "bytes_from_user": item.bytes_from_user,
                "bytes_from_appliance": item.bytes_from_appliance,
                "reason": item.reason,
                "why_ended": item.end_reason,
            }
            for item in first(lambda page: acts.list_sessions(session, place.actor, page, place.now), limit)
        ]
    show(rows, as_json=as_json, empty="there was no session yet")

"""``lm status``."""

from __future__ import annotations

import time

import click

from lm_client.asking import ask
from lm_client.core.local import GetStatus, RelayView, SessionView, Status
from lm_client.core.names import path_of
from lm_client.home import Home

from .showing import show_devices, show_json

_WATCH_S = 1.0


@click.command("status")
@click.option("--json", "as_json", is_flag=True, help="For programs.")
@click.option("--watch", is_flag=True, help="Again every second, until Ctrl-C.")
@click.pass_obj
def status_command(home_option: str | None, as_json: bool, watch: bool) -> None:
    """Show the connection to the GateManager and the sessions."""
    home = Home.find(home_option)
    while True:
        status = ask(home, GetStatus(), Status)
        if watch and not as_json:
            click.clear()
        _show_line(status) if as_json and watch else show_json(status) if as_json else _show(status)
        if not watch:
            return
        try:
            time.sleep(_WATCH_S)
        except KeyboardInterrupt:
            return


def _show_line(status: Status) -> None:
    import msgspec

    click.echo(msgspec.json.encode(status))


def _show(status: Status) -> None:
    since = _ago(status.since)
    if status.connected:
        trip = "" if status.rtt_s is None else f", round trip {status.rtt_s * 1000:.0f} ms"
        click.echo(f"{status.user} at {status.gm_name}, by {status.way}, for {since}{trip}")
    else:
        click.echo(f"{status.user} at {status.gm_name}: no connection for {since}: {status.way}")
    click.echo(f"GateManager: serial {status.pin.serial} (key {status.pin.fingerprint}; {status.pin.how})")
    for session in status.sessions:
        _show_session(session)
    if not status.sessions:
        click.echo("No session.")
    for relay in status.relays:
        _show_relay(relay)
    for session in status.ended:
        click.echo(f"Ended: {path_of(session)}: {session.detail}")


def _show_session(session: SessionView) -> None:
    detail = f" ({session.detail})" if session.detail else ""
    click.echo(
        f"{path_of(session)}: {session.state}{detail}, through {session.interface or '-'}, {_ago(session.since)}"
    )
    trip = "" if session.rtt_s is None else f", round trip {session.rtt_s * 1000:.1f} ms"
    again = f", resumed {session.reconnects} times" if session.reconnects else ""
    click.echo(f"  sent {_size(session.bytes_sent)}, received {_size(session.bytes_received)}{trip}{again}")
    show_devices(session.devices)


def _show_relay(relay: RelayView) -> None:
    click.echo(f"Relay {relay.name} ({relay.direction}, {relay.appliance}/{relay.device}): {relay.condition}")
    carried = f"{_size(relay.bytes_to_device)} to the device, {_size(relay.bytes_from_device)} from it"
    click.echo(f"  {relay.text or '-'}; {relay.connections} connections, {carried}")


def _ago(then: float) -> str:
    seconds = max(0, round(time.time() - then))
    hours, minutes = seconds // 3600, seconds // 60 % 60
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {seconds % 60} s" if minutes else f"{seconds} s"


def _size(size_bytes: int) -> str:
    size = float(size_bytes)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if size < 1024 or unit == "GiB":
            return f"{size:.0f} B" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1024
    raise AssertionError

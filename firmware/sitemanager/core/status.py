"""What ``sm status`` says, as data and as text."""

from __future__ import annotations

import datetime
from collections.abc import Iterator

import msgspec

from .local import LocalAnswer


class SessionStatus(msgspec.Struct, frozen=True):
    """One session. Times are Unix seconds by the GateManager's clock as far as it is known."""

    session_id: str
    user: str
    reason: str
    phase: str
    """``opening``, ``open`` or ``ending``."""
    interface: str
    since: float
    ends_at: float | None
    bytes_sent: int
    bytes_received: int
    devices: tuple[str, ...]
    """``name (address)``."""


class Status(LocalAnswer, frozen=True):
    """The daemon as it is now."""

    software: str
    enrolled: bool
    name: str
    domain: str
    gm_name: str
    connected: bool
    way: str
    """In use, or empty."""
    since: float | None
    """Of the connection, or of its loss."""
    lost_reason: str
    pin_serial: str
    pin_key: str
    pin_how: str
    key: str
    """Fingerprint of our own key, to compare with what an LM shows."""
    system_clock_set: bool | None
    now: float
    locked: str | None
    """Why remote access is locked; None if it is allowed."""
    dev_interfaces: tuple[str, ...]
    sessions: tuple[SessionStatus, ...]
    consent_left_s: float | None = None
    """Until remote access, allowed for some minutes, is locked again."""
    retry_s: float | None = None
    """Until the GateManager is tried again."""
    notes: tuple[str, ...] = ()
    """What somebody should look at."""
    events_waiting: int = 0
    """Alarms and audit entries that the GateManager has not acknowledged."""


def status_text(status: Status) -> str:
    """Return the status for people."""
    return "\n".join(_rows(status)) + "\n"


def _rows(status: Status) -> Iterator[str]:
    yield f"appliance       {status.name or '-'}{f' in {status.domain}' if status.domain else ''}"
    yield f"GateManager     {_connection(status)}"
    if status.pin_serial:
        yield f"pinned          serial {status.pin_serial} (key {status.pin_key}), {status.pin_how}"
    if status.key:
        yield f"own key         {status.key}"
    yield f"remote access   {f'LOCKED: {status.locked}' if status.locked else 'allowed'}"
    yield f"machine side    {', '.join(status.dev_interfaces) or 'not set: sm config set dev_interfaces eth1'}"
    yield f"clock           {_clock(status)}"
    for note in status.notes:
        yield f"look at         {note}"
    yield f"sessions        {len(status.sessions) or 'none'}"
    for session in status.sessions:
        yield from _session_rows(session)


def _connection(status: Status) -> str:
    if status.connected:
        since = f" since {_time(status.since)}" if status.since is not None else ""
        return f"connected to {status.gm_name} by {status.way}{since}"
    if not status.enrolled:
        return f"not adopted yet{f': {status.lost_reason}' if status.lost_reason else ''}"
    return f"not connected{f': {status.lost_reason}' if status.lost_reason else ''}"


def _clock(status: Status) -> str:
    known = {True: "agrees with the GateManager", False: "system clock is wrong, the GateManager's time is used"}
    text = known[status.system_clock_set] if status.system_clock_set is not None else "not compared yet"
    return f"{_time(status.now)} ({text})"


def _session_rows(session: SessionStatus) -> Iterator[str]:
    yield f"  {session.session_id}  {session.user}  {session.phase} since {_time(session.since)} on {session.interface}"
    if session.reason:
        yield f"    reason      {session.reason}"
    if session.ends_at is not None:
        yield f"    ends at     {_time(session.ends_at)}"
    yield f"    bytes       {session.bytes_sent} to the PC, {session.bytes_received} from it"
    yield f"    devices     {', '.join(session.devices) or 'none'}"


def _time(unix_s: float | None) -> str:
    if unix_s is None:
        return "-"
    try:
        moment = datetime.datetime.fromtimestamp(unix_s, datetime.UTC)
    except (ValueError, OverflowError, OSError):
        return "-"
    return moment.strftime("%Y-%m-%d %H:%M:%S UTC")

"""The texts of mails: plain, short, with what one needs to decide whether to trust them. No I/O.

Whatever people typed is quoted in one line: nobody writes a mail of his own through us.
"""

from __future__ import annotations

import datetime
from typing import Final

import msgspec

from gm_server.names import printable

_LINE: Final = 200


class Letter(msgspec.Struct, frozen=True):
    """A mail without its addresses."""

    subject: str
    body: str


def invitation(gatemanager: str, user: str, link: str, days: float) -> Letter:
    """Ask somebody to make his account."""
    return Letter(
        f"[{_said(gatemanager)}] Your account",
        f"Hello {_said(user)},\n\nan account is ready for you at {_said(gatemanager)}. Open this link, choose your "
        f"password and you can sign in:\n\n{link}\n\nThe link works once and for {days:g} days. If you do not expect "
        "it, do nothing: nobody can use the account.\n",
    )


def password_reset(gatemanager: str, user: str, link: str, minutes: float) -> Letter:
    """Let somebody choose a new password."""
    return Letter(
        f"[{_said(gatemanager)}] A new password",
        f"Hello {_said(user)},\n\nsomebody, probably you, asked for a new password at {_said(gatemanager)}. Choose it "
        f"here:\n\n{link}\n\nThe link works once and for {minutes:g} minutes. If it was not you, do nothing.\n",
    )


def access_asked(
    gatemanager: str, user: str, appliance: str, devices: str, reason: str, duration_s: float, link: str
) -> Letter:
    """Ask an approver."""
    return Letter(
        f"[{_said(gatemanager)}] {_said(user)} asks for access to {_said(appliance)}",
        f"{_said(user)} asks for access.\n\n"
        f"  to       {_said(appliance)}\n"
        f"  devices  {_said(devices) or 'all that may be asked for'}\n"
        f"  for      {_duration(duration_s)}\n"
        f"  reason   {_said(reason)}\n\n"
        f"Approve or deny it here; nothing happens before you confirm it on that page:\n\n{link}\n\n"
        "The link is yours alone: whoever has it can decide in your name.\n",
    )


def access_decided(gatemanager: str, appliance: str, state: str, by: str, text: str, until: float | None) -> Letter:
    """Tell who asked."""
    end = f"\nIt ends by itself at {_moment(until)}.\n" if until is not None else ""
    said = f"\n{_said(by)} says: {_said(text)}\n" if text else ""
    return Letter(
        f"[{_said(gatemanager)}] Access to {_said(appliance)}: {state}",
        f"Your request for access to {_said(appliance)} was {state} by {_said(by)}.\n{end}{said}",
    )


def alarm(gatemanager: str, text: str, subject: str, since: float, link: str) -> Letter:
    """Tell whoever looks after it that something is wrong."""
    return Letter(
        f"[{_said(gatemanager)}] {_said(text)}",
        f"{_said(text)}\n\n  what   {_said(subject)}\n  since  {_moment(since)}\n\n{link}\n",
    )


def alarm_over(gatemanager: str, text: str, subject: str, since: float, ended_at: float) -> Letter:
    """Tell them that it is over."""
    return Letter(
        f"[{_said(gatemanager)}] Over: {_said(text)}",
        f"This is over:\n\n{_said(text)}\n\n  what   {_said(subject)}\n  from   {_moment(since)}\n"
        f"  until  {_moment(ended_at)}\n",
    )


def trial(gatemanager: str, by: str) -> Letter:
    """Show that mail works."""
    return Letter(f"[{_said(gatemanager)}] Test", f"Mail works. {_said(by)} asked for this test.\n")


def _said(text: str) -> str:
    return printable(text)[:_LINE]


def _moment(moment: float) -> str:
    return datetime.datetime.fromtimestamp(moment, datetime.UTC).strftime("%Y-%m-%d %H:%M UTC")


def _duration(duration_s: float) -> str:
    minutes = round(duration_s / 60)
    return f"{minutes} minutes" if minutes < 120 else f"{minutes / 60:g} hours"

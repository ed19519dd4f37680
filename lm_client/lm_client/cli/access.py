"""``lm request``."""

from __future__ import annotations

import time

import click

from gatelink.exceptions import Refused
from lm_client.asking import ask
from lm_client.core.local import Access, AccessView, AskForAccess, GetStatus, Status
from lm_client.home import Home

from .completion import complete_target
from .showing import show_json

_LOOK_S = 1.0


@click.command("request")
@click.argument("target", metavar="APPLIANCE", shell_complete=complete_target)
@click.option("--reason", required=True, metavar="TEXT", help="Why: the approver reads it.")
@click.option("--hours", type=click.FloatRange(0.25, 744), default=4.0, show_default=True, help="For how long.")
@click.option("--wait", is_flag=True, help="Until somebody has decided; status 1 unless it is approved.")
@click.option("--json", "as_json", is_flag=True, help="For programs.")
@click.pass_obj
def request_command(home_option: str | None, target: str, reason: str, hours: float, wait: bool, as_json: bool) -> None:
    """Ask the approvers for access that your grants allow with approval."""
    home = Home.find(home_option)
    wanted = AskForAccess(target=target, reason=reason, duration_s=hours * 3600)
    access = ask(home, wanted, Access).access
    while wait and access.state == "waiting":
        time.sleep(_LOOK_S)
        found = [each for each in ask(home, GetStatus(), Status).requests if each.access_id == access.access_id]
        access = found[0] if found else access
    show_json(access) if as_json else click.echo(_text(access))
    if wait and access.state != "approved":
        raise Refused(access.state, f"access to {access.name} was not given: {access.state}")


def _text(access: AccessView) -> str:
    told = f": {access.text}" if access.text else ""
    next_step = " `lm status` shows what becomes of it." if access.state == "waiting" else ""
    return f"Access to {access.name}: {access.state}{told}.{next_step}"

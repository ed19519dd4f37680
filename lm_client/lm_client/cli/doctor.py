"""``lm doctor``."""

from __future__ import annotations

import asyncio
import os

import click

from gatelink.exceptions import GatelinkError
from lm_client.asking import ask
from lm_client.core.local import Appliances, GetAppliances
from lm_client.home import Home

from .showing import show_json

_SIGNS = {"good": "ok  ", "warn": "look", "bad": "BAD "}


@click.command("doctor")
@click.option("--json", "as_json", is_flag=True, help="For programs.")
@click.pass_obj
def doctor_command(home_option: str | None, as_json: bool) -> int:
    """Say what on this PC or its network is in the way, and what to do. Exit status 1 if anything is."""
    from lm_client.config import load
    from lm_client.core.findings import worst
    from lm_client.doctor import examine
    from lm_client.host.here import routes_of_this_pc

    home = Home.find(home_option)
    findings = asyncio.run(examine(home.profile(), load(home), routes_of_this_pc, _devices(home), os.environ))
    if as_json:
        show_json(findings)
    else:
        for finding in findings:
            click.echo(f"{_SIGNS[finding.verdict]}  {finding.what:14}  {finding.text}")
            if finding.next_step:
                click.echo(f"      {'':14}  -> {finding.next_step}")
    return 1 if worst(findings) == "bad" else 0


def _devices(home: Home) -> dict[str, str]:
    """The granted devices, if somebody is logged in: name by address."""
    try:
        tree = ask(home, GetAppliances(fresh=False), Appliances).appliances
    except GatelinkError:
        return {}
    return {
        device.address: f"{appliance.name}/{device.name}"
        for appliance in tree
        for device in appliance.devices
        if device.address
    }

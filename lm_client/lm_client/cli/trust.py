"""``lm trust``."""

from __future__ import annotations

import click

from gatelink.exceptions import InputError
from lm_client.asking import ask
from lm_client.core.local import Done, GetKeys, Keys, TrustKey
from lm_client.home import Home


@click.command("trust")
@click.argument("target", metavar="APPLIANCE")
@click.option("--fingerprint", metavar="TEXT", help="Accept exactly this one without being asked (for scripts).")
@click.pass_obj
def trust_command(home_option: str | None, target: str, fingerprint: str | None) -> None:
    """Accept the changed key of a SiteManager, after comparing it with the one on its own page."""
    from gatelink.identity import fingerprint_text

    home = Home.find(home_option)
    keys = ask(home, GetKeys(target=target), Keys)
    if keys.offered is None:
        known = f"key {fingerprint_text(keys.remembered)}" if keys.remembered else "no key is remembered"
        raise InputError(f"{keys.name} has presented no other key than the remembered one ({known}): nothing to accept")
    offered = fingerprint_text(keys.offered)
    if fingerprint is not None:
        if "".join(fingerprint.split()).lower() != offered.replace(" ", ""):
            raise InputError(f"{keys.name} presented the key {offered}, not that one: it is not accepted")
    else:
        click.echo(f"{keys.name}, remembered key: {fingerprint_text(keys.remembered) if keys.remembered else '-'}")
        click.echo(f"{keys.name}, new key:        {offered}")
        click.confirm("Does the SiteManager's own page show the new one?", abort=True)
    ask(home, TrustKey(appliance_id=keys.appliance_id, key_sha256=keys.offered), Done)
    click.echo(f"Accepted. Next: lm connect {keys.name}")

"""``lm redeem`` and ``lm import``: how a PC becomes a user's."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Final

import click

from gatelink.exceptions import InputError
from lm_client.home import Home

from .passwords import new_password

_VERIFIED: Final = {
    "proof": "it proved the invitation's secret",
    "fingerprint": "it has the fingerprint in the invitation, and proved its secret",
    "first-use": "taken on trust at the first contact",
    "succession": "signed for by the one before",
}
_INSTEAD: Final = "use --home or --profile for another one, or --replace"
_replace = click.option("--replace", is_flag=True, help="Give up who this PC was before.")


def how_verified(how: str) -> str:
    """Return how the GateManager's certificate was verified, for people."""
    return _VERIFIED.get(how, how)


@click.command("redeem")
@click.argument("invitation", required=False)
@click.option("--qr", "picture", metavar="PICTURE", help="Take the invitation from a picture of its QR code.")
@click.option("--password-file", metavar="FILE", help="Take the new password from a file's first line.")
@click.option("--password-stdin", is_flag=True, help="Take the new password from standard input.")
@_replace
@click.pass_obj
def redeem_command(
    home_option: str | None,
    invitation: str | None,
    picture: str | None,
    password_file: str | None,
    password_stdin: bool,
    replace: bool,
) -> None:
    """Redeem an INVITATION or the link that ends in it (- reads it from standard input).

    The key is made here and never leaves this PC.
    """
    from lm_client.redeeming import check_free, parse_invitation, redeem

    if invitation == "-" and password_stdin:
        raise InputError("- and --password-stdin cannot both read standard input: use --password-file")
    if (invitation is None) == (picture is None):
        raise InputError("give the invitation, or --qr with a picture of its QR code")
    if picture is not None:
        from lm_client.pictures import invitation_in, read_picture

        invitation = invitation_in(read_picture(Path(picture)))
    claim = parse_invitation(sys.stdin.read() if invitation == "-" else invitation or "")
    home = Home.find(home_option)
    if not replace:
        check_free(home, _INSTEAD)
    password = new_password(password_file, password_stdin)
    profile, pin = redeem(home, claim, password)
    click.echo(f"This PC is now {profile.user}'s ({profile.domain}).")
    click.echo(f"GateManager: {pin.describe()}")
    click.echo(f"  {how_verified(pin.how)}; locked to it from now on.")
    click.echo("Next: lm login")


@click.command("import")
@click.argument("file", metavar="FILE.p12")
@click.option("--gm", "addresses", multiple=True, required=True, metavar="ADDRESS", help="Where the GateManager is.")
@_replace
@click.pass_obj
def import_command(home_option: str | None, file: str, addresses: tuple[str, ...], replace: bool) -> None:
    """Take a certificate file that was delivered. The GateManager is locked to at the first login, on trust."""
    from lm_client.redeeming import check_free, import_file

    home = Home.find(home_option)
    if not replace:
        check_free(home, _INSTEAD)
    import_file(home, Path(file), addresses)
    click.echo(f"Certificate file kept in {home.path}.")
    click.echo("Next: lm login; it takes the GateManager's certificate on trust and locks to it: compare the serial.")

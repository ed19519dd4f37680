"""``gm backup`` and ``gm restore``."""

from __future__ import annotations

from pathlib import Path
from typing import BinaryIO, Final

import click

from gatelink.exceptions import InputError
from gm_server.appliances.firmware import missing_files
from gm_server.backup.making import write_backup
from gm_server.backup.restoring import restore as restore_directory
from gm_server.directory import REPLACED

from .output import moment
from .place import Place, pass_place

_MAX_PASSPHRASE_BYTES: Final = 4096
_passphrase_option = click.option(
    "--passphrase-file",
    type=click.File("rb"),
    default=None,
    help="Its first line is the passphrase; else it is asked for.",
)


@click.command()
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@_passphrase_option
@pass_place
def backup(place: Place, file: Path, passphrase_file: BinaryIO | None) -> None:
    """Write keys, settings and database to one encrypted FILE; the server may run meanwhile."""
    place.directory.check_is_finished()
    manifest = write_backup(place.directory, file, _passphrase(passphrase_file, new=True), place.actor, place.now)
    click.echo(f"wrote {file} ({file.stat().st_size / 2**20:.1f} MiB): {manifest.gatemanager}, {manifest.serial}")
    if manifest.firmware_bundles:
        click.echo(
            f"not in it: the files of {manifest.firmware_bundles} firmware bundles"
            f" ({manifest.firmware_bytes / 2**20:.1f} MiB); keep them, after a restore they are uploaded again"
        )
    click.echo("without the passphrase nobody can read it, you neither: keep it elsewhere")


@click.command()
@click.argument("file", type=click.File("rb"))
@_passphrase_option
@click.confirmation_option("--yes", prompt="Put the backup in the place of what is in the data directory?")
@pass_place
def restore(place: Place, file: BinaryIO, passphrase_file: BinaryIO | None) -> None:
    """Put a backup in place, on this machine or another. The server must be stopped."""
    directory = place.directory
    passphrase = _passphrase(passphrase_file, new=False)
    manifest = restore_directory(directory, file, passphrase, place.actor, place.now)
    click.echo(f"restored {manifest.gatemanager} as it was at {moment(manifest.made_at)}, serial {manifest.serial}")
    if (directory.path / REPLACED).exists():
        click.echo(f"what was here before lies in {directory.path / REPLACED}; remove it when all is well")
    click.echo("what was revoked after the backup was made is good again: look at users, grants and appliances")
    with place.read() as session:
        missing = missing_files(session, directory.bundle_files())
    if missing:
        click.echo(
            f"missing is the firmware of {len(missing)} bundles ({', '.join(missing[:5])}): `gm firmware upload`"
        )
    click.echo("next: `gm serve`")


def _passphrase(file: BinaryIO | None, *, new: bool) -> str:
    if file is None:
        text: str = click.prompt("Passphrase", hide_input=True, confirmation_prompt=new)
        return text
    try:
        lines = file.read(_MAX_PASSPHRASE_BYTES).decode().splitlines()
    except UnicodeDecodeError:
        lines = []
    if not lines:
        raise InputError("expected the passphrase in the first line of --passphrase-file, as UTF-8")
    return str(lines[0])

"""``gm audit``."""

from __future__ import annotations

import sys
from contextlib import nullcontext
from pathlib import Path
from typing import Any, Final

import click
import msgspec
from sqlalchemy import select

from gatelink.exceptions import GatelinkError, InputError
from gatelink.identity import fingerprint_text, key_sha256
from gm_server.acts.audit import cut_log, list_entries, start_export
from gm_server.audit.archives import read_report, write_whole
from gm_server.audit.checkpoints import make_checkpoint
from gm_server.audit.cuts import find_end, sweep
from gm_server.audit.export import Csv, JsonLines
from gm_server.audit.reading import Filter
from gm_server.audit.verification import Report
from gm_server.database.tables import Succession

from .output import json_option, moment, show
from .place import Place, pass_place
from .times import MomentType

DAY_S: Final = 86400.0
_FILTERS: Final = (
    click.option("--event", default="", help="Only this event, like grant.added, or this kind, like grant."),
    click.option("--actor", default="", help="Only what this user did (name or id)."),
    click.option("--subject", default="", help="Only about this (an id, or a part of the name)."),
    click.option("--domain", default="", help="Only what concerns this domain and below."),
    click.option("--result", type=click.Choice(["done", "refused", "failed"]), default=None),
    click.option("--since", type=MomentType(), default=None, help="From this time on."),
    click.option("--until", type=MomentType(), default=None, help="Before this time."),
)


def _filtered(command: Any) -> Any:
    for option in reversed(_FILTERS):
        command = option(command)
    return command


@click.group()
def audit() -> None:
    """What happened that matters for security: a chain that shows every change of it."""


@audit.command("list")
@_filtered
@click.option("--limit", type=click.IntRange(1, 1000), default=100, show_default=True, help="How many at most.")
@json_option
@pass_place
def list_(place: Place, /, limit: int, *, as_json: bool, **options: Any) -> None:
    """List the latest entries, newest first."""
    with place.read() as session:
        records = list_entries(session, place.actor, _wanted(options), limit=limit)
    if as_json:
        rows = [{**msgspec.structs.asdict(record.entry), "hash": record.hash.hex()} for record in records]
    else:
        rows = [
            {
                "number": record.entry.number,
                "happened_at": record.entry.at,
                "event": record.entry.event,
                "result": record.entry.result,
                "by": record.entry.actor_name,
                "via": record.entry.via,
                "from": record.entry.address,
                "subject": record.entry.subject_name or record.entry.subject_id,
                "details": ", ".join(f"{name}={value}" for name, value in record.entry.details.items()),
            }
            for record in records
        ]
    show(rows, as_json=as_json, empty="nothing of the kind was recorded")


@audit.command("export")
@_filtered
@click.option("--csv", "as_csv", is_flag=True, help="A table for spreadsheets; it cannot be verified.")
@click.option("-o", "--output", type=click.Path(dir_okay=False, path_type=Path), default=None, help="Else stdout.")
@pass_place
def export(place: Place, /, output: Path | None, *, as_csv: bool, **options: Any) -> None:
    """Write the log as JSON lines with its signatures, for `gm audit verify` and for archives."""
    identity = place.directory.appliance_identity()
    with place.write() as session:
        form = "csv" if as_csv else "json-lines"
        wanted = start_export(session, place.actor, _wanted(options), form, place.now)
        make_checkpoint(session, identity, place.now)
    writer = (
        Csv(wanted)
        if as_csv
        else JsonLines(identity, place.directory.config().name, wanted, place.actor.name, place.now)
    )
    with output.open("xb") if output else nullcontext(sys.stdout.buffer) as file:
        with place.database() as database:
            while True:
                with database.read() as session:
                    piece = writer.page(session)
                if piece is None:
                    break
                file.write(piece)
        file.flush()


@audit.command("cut")
@click.option("--keep-days", type=click.IntRange(min=0), default=365, show_default=True, help="What stays here.")
@click.option("--before", type=MomentType(), default=None, help="Cut what is older than this time instead.")
@click.option("-o", "--output", type=click.Path(dir_okay=False, path_type=Path), required=True, help="A new file.")
@pass_place
def cut(place: Place, keep_days: int, before: float | None, output: Path) -> None:
    """Write the older part of the log to a file of its own and take it out of the database; the server may run.

    The log goes on from there: `gm audit verify` proves each file alone, and in a row that nothing lies between them.
    """
    identity, name = place.directory.appliance_identity(), place.directory.config().name
    with place.database() as database:
        with database.read() as session:
            last = find_end(session, place.now - keep_days * DAY_S if before is None else before)
        if last is None:
            click.echo("nothing in the log is older: nothing was written or removed")
            return
        writer = JsonLines(identity, name, Filter(), place.actor.name, place.now, last.number)
        report, digest = write_whole(database, writer, output)
        with database.write() as session:
            cut_log(session, place.actor, identity, report, digest, place.now)
        more = True
        while more:
            with database.write() as session:
                more = sweep(session)
    click.echo(f"wrote {output}: {report.entries} entries up to number {report.last}; the log begins behind them now")
    click.echo("keep that file: it is the only place in which they are")


@audit.command("verify")
@click.argument("files", type=click.Path(dir_okay=False, exists=True, path_type=Path), nargs=-1, required=True)
@click.option("--key", "key", default="", help="The key that must have signed it, as `gm certificate show` prints it.")
@pass_place
def verify(place: Place, files: tuple[Path, ...], key: str) -> None:
    """Find what was changed, removed, inserted, moved or cut off in exported FILES. Works offline.

    Several files, the oldest first, must follow each other without anything between them (`gm audit cut`).
    """
    known, before = _known_keys(place, key), None
    for path in files:
        with path.open("rb") as file:
            report = read_report(file)
        signer = fingerprint_text(report.key_sha256)
        if not any(report.key_sha256.hex().startswith(digits) for digits in known):
            report.findings.append(f"it is signed by the key {signer}, which is not the one that was expected")
        if before is not None and (report.begins_behind, report.begin_hash) != (before.last, before.end_hash):
            report.findings.append(
                f"it begins behind entry {report.begins_behind}, the file before it ends with {before.last}: "
                "something lies between them, or they are of different logs"
            )
        for finding in report.findings:
            click.echo(f"wrong: {finding}", err=True)
        if report.findings:
            raise GatelinkError(f"the audit log of {report.gatemanager or 'nobody'} is NOT as it was written")
        click.echo(_good(report, signer))
        before = report


def _good(report: Report, signer: str) -> str:
    left_out = f" ({report.left_out} more left out)" if report.left_out else ""
    behind = f" behind number {report.begins_behind}" if report.begins_behind else ""
    return (
        f"good: {report.entries} entries{behind} up to number {report.last}{left_out}, "
        f"{report.checkpoints} checkpoints, "
        f"exported by {report.gatemanager} at {moment(report.exported_at)}, signed by the key {signer}"
    )


def _known_keys(place: Place, key: str) -> list[str]:
    """Return the beginnings of the key fingerprints that may have signed: what was given, else this server's."""
    if key:
        digits = "".join(key.split()).replace(":", "").lower()
        if len(digits) < 32 or any(digit not in "0123456789abcdef" for digit in digits):
            raise InputError(f"expected a key of 32 hexadecimal digits or more, got {key[:80]!r}")
        return [digits]
    if not place.directory.is_finished:
        raise InputError(
            "say with --key which key must have signed the file: `gm certificate show` on its server has it"
        )
    with place.read() as session:
        earlier = [digest.hex() for digest in session.scalars(select(Succession.old_key_sha256))]
    return [key_sha256(place.directory.appliance_identity().certificate).hex(), *earlier]


def _wanted(options: dict[str, Any]) -> Filter:
    return Filter(**{**options, "result": options["result"] or ""})

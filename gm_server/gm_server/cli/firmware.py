"""``gm firmware``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from gm_server.acts import firmware as acts
from gm_server.acts import rollouts as rollout_acts
from gm_server.acts.rollouts import NewRollout, RolloutView

from .output import json_option, moment, show
from .pages import every, first
from .place import Place, pass_place

_PIECE_BYTES = 1 << 20


@click.group()
def firmware() -> None:
    """Firmware for SiteManagers: bundles, and their roll-outs. The running server hands them out."""


@firmware.command("upload")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--domain", default="", help="For appliances in this domain and below; else for everybody.")
@pass_place
def upload(place: Place, file: Path, domain: str) -> None:
    """Keep FILE, a RAUC bundle. Its signature is not verified here: every SiteManager does that itself."""
    place.directory.check_is_finished()
    files = place.directory.bundle_files()
    with place.read() as session:
        acts.check_upload(session, place.actor, domain)
    incoming = files.begin()
    try:
        with file.open("rb") as source:
            while piece := source.read(_PIECE_BYTES):
                incoming.write(piece)
        received = incoming.finish()
        with place.write() as session:
            bundle = acts.add_bundle(session, place.actor, files, received, domain, place.now)
    finally:
        incoming.discard()
    click.echo(f"kept {bundle.version} for {bundle.board} as {bundle.id}, sha256 {bundle.sha256}")


@firmware.command("list")
@json_option
@pass_place
def list_(place: Place, *, as_json: bool) -> None:
    """List the bundles."""
    files = place.directory.bundle_files()
    with place.read() as session:
        rows = [
            {
                "id": bundle.id,
                "version": bundle.version,
                "board": bundle.board,
                "domain": bundle.domain,
                "size_bytes": bundle.size_bytes,
                "created_at": bundle.created_at,
                "file": bundle.file,
                "sha256": bundle.sha256 if as_json else bundle.sha256[:16],
            }
            for bundle in every(lambda page: acts.list_bundles(session, place.actor, files, page))
        ]
    show(rows, as_json=as_json, empty="there is no firmware here; `gm firmware upload` brings some")


@firmware.command("remove")
@click.argument("bundle")
@pass_place
def remove(place: Place, bundle: str) -> None:
    """Remove a BUNDLE (its id) that is not being rolled out, with its past roll-outs."""
    with place.write() as session:
        removed = acts.remove_bundle(session, place.actor, bundle, place.now)
    place.directory.bundle_files().remove(removed)
    click.echo(f"removed {bundle}")


@firmware.command("roll-out")
@click.argument("bundle")
@click.option("--domain", default="", help="To the gateways in this domain and below that have another version.")
@click.option("--appliance", "appliances", multiple=True, help="To this appliance (a path); may be repeated.")
@click.option("--wave-size", type=click.IntRange(1, 1000), default=5, show_default=True, help="At the same time.")
@click.option(
    "--stop-after", "stop_after_failures", type=click.IntRange(1, 100_000), default=1, show_default=True,
    help="Stop when so many failed.",
)  # fmt: skip
@click.option("--allow-older", is_flag=True, help="SiteManagers may go back to an older version.")
@click.option("--during-sessions", is_flag=True, help="Do not wait until nobody works with an appliance.")
@pass_place
def roll_out(place: Place, /, bundle: str, **terms: Any) -> None:
    """Offer a BUNDLE (its id) to a domain or to appliances, in waves."""
    files = place.directory.bundle_files()
    with place.write() as session:
        made = rollout_acts.start_rollout(session, place.actor, files, NewRollout(bundle=bundle, **terms), place.now)
    click.echo(f"began {made.id}: {made.version} to {made.total} in {made.domain}, {made.wave_size} at the same time")
    click.echo(f"watch it: gm firmware status {made.id}")


@firmware.command("status")
@click.argument("rollout", default="")
@click.option("--limit", type=click.IntRange(1, 10_000), default=50, show_default=True, help="How many lines.")
@json_option
@pass_place
def status(place: Place, rollout: str, limit: int, *, as_json: bool) -> None:
    """List the roll-outs; or how far every appliance of one ROLLOUT (its id) is."""
    with place.read() as session:
        if not rollout:
            found = first(lambda page: rollout_acts.list_rollouts(session, place.actor, page), limit)
            rows = [_row(one) for one in found]
            show(rows, as_json=as_json, empty="nothing was rolled out; `gm firmware roll-out` begins")
            return
        one = rollout_acts.get_rollout(session, place.actor, rollout)
        targets = first(lambda page: rollout_acts.list_targets(session, place.actor, rollout, page), limit)
        lines = [
            {
                "appliance": target.appliance,
                "state": target.state,
                "percent": target.percent,
                "firmware": target.firmware,
                "changed_at": target.changed_at,
                "text": target.text,
            }
            for target in targets
        ]
    if not as_json:
        click.echo(f"{one.version} ({one.board}) to {one.domain}, begun {moment(one.created_at)} by {one.created_by}")
        click.echo(f"{one.state}: {one.text}" if one.text else one.state)
    show(lines, as_json=as_json, empty="no appliance of it is left")


@firmware.command("stop")
@click.argument("rollout")
@pass_place
def stop(place: Place, rollout: str) -> None:
    """Offer it to nobody any more; who installs already goes on."""
    with place.write() as session:
        one = rollout_acts.stop_rollout(session, place.actor, rollout, place.now)
    click.echo(f"{rollout} is {one.state}: {one.good} of {one.total} run {one.version}, {one.failed} failed")


@firmware.command("resume")
@click.argument("rollout")
@pass_place
def resume(place: Place, rollout: str) -> None:
    """Go on with those who were not reached yet; one more failure stops it again."""
    files = place.directory.bundle_files()
    with place.write() as session:
        one = rollout_acts.resume_rollout(session, place.actor, files, rollout, place.now)
    click.echo(f"{rollout} is {one.state}: {one.pending} to come")


def _row(one: RolloutView) -> dict[str, Any]:
    return {
        "id": one.id,
        "version": one.version,
        "board": one.board,
        "domain": one.domain,
        "state": one.state,
        "good": f"{one.good}/{one.total}",
        "failed": one.failed,
        "created_at": one.created_at,
        "text": one.text,
    }

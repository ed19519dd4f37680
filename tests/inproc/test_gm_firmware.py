"""Roll-outs from the first offer to the last gateway."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import os
import signal
import threading
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import update

from gatelink import messages
from gatelink.messages.appliance import MAX_CHUNK_BYTES
from gm_server.acts import rollouts
from gm_server.acts.alarms import list_alarms
from gm_server.acts.appliances import revoke_appliance
from gm_server.acts.firmware import remove_bundle
from gm_server.acts.paging import Paging
from gm_server.database.tables import Appliance as ApplianceRecord
from gm_server.exceptions import Conflict
from gm_server.service.firmware import ASKED_BY_ONE
from inproc.firmware_bundles import keep_bundle
from inproc.firmware_plant import (
    DEADLINE_S,
    NAMES,
    Gateway,
    begin,
    events,
    furnish,
    gm_process,
    plant,
    states,
    until,
    view,
    with_images,
)
from inproc.gm_people import CONSOLE


def test_rollout_goes_in_waves_to_whoever_is_there_and_comes(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with plant(tmp_path) as (gm, gateways):
            for name in "abc":
                await gateways[name].log_in()
            bundle = keep_bundle(gm, CONSOLE, "2.0")
            rollout = begin(gm, bundle, wave_size=2)
            assert (rollout.total, rollout.pending) == (5, 5)
            offer = await gateways["a"].offered()
            assert (offer.version, offer.allow_older, offer.during_sessions) == ("2.0", False, False)
            assert (await gateways["b"].offered()).bundle_id == offer.bundle_id == bundle.id
            assert states(gm, rollout)["c"] == "pending"
            # Only who has the offer gets anything.
            assert await gateways["c"].piece(offer.bundle_id, 0) == "unknown-bundle"
            assert await gateways["a"].piece("bnd-another", 0) == "unknown-bundle"
            fetched = await gateways["a"].fetch(offer)
            assert fetched == gm.directory.bundle_files().path(bundle.id).read_bytes()
            assert (len(fetched), hashlib.sha256(fetched).digest()) == (offer.size_bytes, offer.sha256)
            assert await gateways["a"].piece(offer.bundle_id, 10, 5) == fetched[10:15]
            await gateways["a"].tell(offer.bundle_id, "fetching", 40)
            await until(lambda: states(gm, rollout)["a"] == "fetching")
            # What it was not offered, nobody believes.
            await gateways["c"].tell(offer.bundle_id, "good")
            await gateways["a"].tell(offer.bundle_id, "good")
            await until(lambda: states(gm, rollout)["a"] == "good")
            assert states(gm, rollout)["c"] == "pending"
            await gateways["a"].refused(offer.bundle_id)
            # The next wave waits for the last of this one; a connection that broke is told again.
            gateways["b"].close()
            await gateways["b"].log_in("run-2")
            assert await gateways["b"].offered() == offer
            await gateways["b"].tell(offer.bundle_id, "good")
            assert await gateways["c"].offered() == offer
            await gateways["c"].tell(offer.bundle_id, "good")
            await until(lambda: view(gm, rollout).good == 3)
            assert view(gm, rollout).state == "running"
            for name in "de":
                await gateways[name].log_in()
                assert await gateways[name].offered() == offer
                await gateways[name].tell(offer.bundle_id, "good", 100, "runs\x07")
            await until(lambda: view(gm, rollout).state == "finished")
            assert events(gm) == [
                ("firmware.uploaded", "done", "root"),
                ("firmware.rollout-started", "done", "root"),
                *(("firmware.installed", "done", name) for name in NAMES),
            ]
            gm.write(lambda session: session.execute(update(ApplianceRecord).values(firmware="2.0")))
            with pytest.raises(Conflict, match="nobody in acme"):
                begin(gm, bundle)

    asyncio.run(scenario())


def test_rollout_stops_after_failures_and_is_resumed(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with plant(tmp_path) as (gm, gateways):
            for gateway in gateways.values():
                await gateway.log_in()
            bundle = keep_bundle(gm, CONSOLE, "2.0")
            rollout = begin(gm, bundle, wave_size=3, stop_after_failures=2, allow_older=True, during_sessions=True)
            offer = await gateways["a"].offered()
            assert (offer.allow_older, offer.during_sessions) == (True, True)
            for name in "bc":
                await gateways[name].offered()
            # Nobody can begin another one over it.
            with pytest.raises(Conflict, match="part of a roll-out"):
                begin(gm, bundle)
            with pytest.raises(Conflict, match="acme/e is part of"):
                begin(gm, bundle, domain="", appliances=("acme/e",))
            with pytest.raises(Conflict, match="is being rolled out"):
                gm.write(remove_bundle, CONSOLE, bundle.id, gm.clock())
            await gateways["a"].tell(bundle.id, "refused", text="the signature is nobody's I know")
            await until(lambda: view(gm, rollout).failed == 1)
            assert view(gm, rollout).state == "running"
            await gateways["b"].tell(bundle.id, "fetching", 50)
            await gateways["c"].tell(bundle.id, "fell-back", text="it did not reach the GateManager")
            await until(lambda: view(gm, rollout).state == "stopped")
            assert view(gm, rollout).text == "stopped by itself after 2 failed"
            # Somebody is told.
            await gm.server.alarms.look()
            [alarm] = gm.read(list_alarms, CONSOLE, Paging(), live=True).items
            assert (alarm.kind, alarm.domain) == ("firmware", "acme")
            assert alarm.text == "the roll-out of firmware 2.0 in acme stopped by itself after 2 failed"
            # Who was fetching is refused, and his giving up is no failure of his.
            await gateways["b"].refused(bundle.id)
            await gateways["b"].tell(bundle.id, "failed", text="the GateManager does not send the update")
            assert states(gm, rollout) == dict.fromkeys("bde", "pending") | {"a": "refused", "c": "fell-back"}
            gm.write(rollouts.resume_rollout, CONSOLE, gm.directory.bundle_files(), rollout.id, gm.clock())
            await gm.server.alarms.look()
            assert gm.read(list_alarms, CONSOLE, Paging(), live=True).items == ()
            for name in "bde":
                assert (await gateways[name].offered()).bundle_id == bundle.id
            await gateways["d"].tell(bundle.id, "good")
            await until(lambda: states(gm, rollout)["d"] == "good")
            # One more failure stops it again.
            await gateways["e"].tell(bundle.id, "failed", text="no room")
            await until(lambda: view(gm, rollout).state == "stopped")
            failed = {(result, name) for event, result, name in events(gm) if event == "firmware.installed"}
            said = {("refused", "a"), ("failed", "c"), ("done", "d"), ("failed", "e")}
            assert failed == said
            assert [name for event, _, name in events(gm) if event == "firmware.rollout-stopped"] == ["GateManager"] * 2
            # What is removed, revoked or moved away is none of this roll-out any more.
            gm.write(rollouts.resume_rollout, CONSOLE, gm.directory.bundle_files(), rollout.id, gm.clock())
            await gateways["b"].offered()
            gm.write(revoke_appliance, CONSOLE, "acme/b", gm.clock())
            await until(lambda: view(gm, rollout).state == "finished")
            assert "b" not in states(gm, rollout)
            removed = gm.write(remove_bundle, CONSOLE, bundle.id, gm.clock())
            assert removed == bundle.id

    asyncio.run(scenario())


def test_pieces_are_bounded_and_a_lost_file_stops_a_rollout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def scenario() -> None:
        async with plant(tmp_path) as (gm, gateways):
            gateway = gateways["a"]
            await gateway.log_in()
            bundle = keep_bundle(gm, CONSOLE, "2.0", payload_bytes=3_000_000)
            rollout = begin(gm, bundle, domain="", appliances=("acme/a",))
            offer = await gateway.offered()
            # Asked for without waiting, with a disk that stands still: few are taken, the others hear 'busy' at once.
            desk, disk = gm.server.appliance_desk.firmware, threading.Event()
            read = desk._files.read

            def slow_read(*which: Any) -> bytes:
                disk.wait(DEADLINE_S)
                return read(*which)

            monkeypatch.setattr(desk._files, "read", slow_read)
            for number in range(50):
                offset = number * MAX_CHUNK_BYTES
                await gateway.say(messages.FirmwareFetch(request_id=number, bundle_id=bundle.id, offset=offset))
            assert gateway.conversation is not None
            answers: dict[int, str] = {}
            async with asyncio.timeout(DEADLINE_S):
                while len(answers) < 50:
                    message = await gateway.conversation.receive(messages.GM_TO_APPLIANCE)
                    if isinstance(message, messages.FirmwareChunk):
                        answers[message.request_id] = "piece"
                    elif isinstance(message, messages.Refusal) and message.request_id is not None:
                        answers[message.request_id] = message.code
                    if list(answers.values()).count("busy") == 50 - ASKED_BY_ONE:
                        disk.set()
            assert answers == {number: "piece" if number < ASKED_BY_ONE else "busy" for number in range(50)}
            assert await gateway.piece(bundle.id, bundle.size_bytes) == b""
            assert await gateway.piece(bundle.id, 2**62) == b""
            files = gm.directory.bundle_files()
            files.remove(bundle.id)
            gm.write(lambda session: session.execute(update(ApplianceRecord).values(note="look")))
            await until(lambda: view(gm, rollout).state == "stopped")
            assert "missing" in view(gm, rollout).text
            with pytest.raises(Conflict, match="upload it again"):
                gm.write(rollouts.resume_rollout, CONSOLE, files, rollout.id, gm.clock())
            again = keep_bundle(gm, CONSOLE, "2.0", payload_bytes=3_000_000)
            assert (again.id, again.file) == (bundle.id, True)
            gm.write(rollouts.resume_rollout, CONSOLE, files, rollout.id, gm.clock())
            assert await gateway.offered() == offer
            with pytest.raises(Conflict, match="here already"):
                keep_bundle(gm, CONSOLE, "2.0", payload_bytes=3_000_000)

    asyncio.run(scenario())


def test_killed_gm_goes_on_with_a_rollout_where_it_was(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with gm_process(tmp_path / "gm") as gm, contextlib.AsyncExitStack() as stack:
            gm.write(furnish)
            gateways = {}
            for name in "abc":
                gateways[name] = Gateway(gm, await gm.enrolled_appliance(f"acme/{name}"))
                stack.callback(gateways[name].close)
            gm.write(with_images)
            for gateway in gateways.values():
                await gateway.log_in()
            bundle = keep_bundle(gm, CONSOLE, "2.0")
            whole = gm.directory.bundle_files().path(bundle.id).read_bytes()
            rollout = begin(gm, bundle, wave_size=2)
            offer = await gateways["a"].offered()
            await gateways["b"].offered()
            first = await gateways["a"].piece(bundle.id, 0)
            await gateways["b"].tell(bundle.id, "installing", 30)
            await until(lambda: states(gm, rollout)["b"] == "installing")
            await gm.stop(signal.SIGKILL)
            (gm.directory.bundle_files().folder / ".upload-cut-off").write_bytes(b"hsqs")
            os.utime(gm.directory.bundle_files().folder / ".upload-cut-off", (1.0, 1.0))
            await gm.start()
            # The offer is said again; who was fetching goes on at his piece, the wave is the same.
            for name in "cba":
                await gateways[name].log_in()
            assert await gateways["a"].offered() == offer
            assert await gateways["b"].offered() == offer
            assert states(gm, rollout) == {"a": "offered", "b": "installing", "c": "pending"}
            assert isinstance(first, bytes)
            assert first + await whole_behind(gateways["a"], bundle.id, len(first)) == whole
            await gateways["b"].tell(bundle.id, "good")
            await gateways["a"].tell(bundle.id, "good")
            assert await gateways["c"].offered() == offer
            await gateways["c"].tell(bundle.id, "good")
            await until(lambda: view(gm, rollout).good == 3)
            await until(lambda: not (gm.directory.bundle_files().folder / ".upload-cut-off").exists())
            assert gm.directory.bundle_files().has(bundle.id, bundle.size_bytes)

    asyncio.run(scenario())


async def whole_behind(gateway: Gateway, bundle_id: str, offset: int) -> bytes:
    whole = bytearray()
    while piece := await gateway.piece(bundle_id, offset + len(whole)):
        assert isinstance(piece, bytes), piece
        whole += piece
    return bytes(whole)

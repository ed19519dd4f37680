"""Firmware from an upload to the last gateway, with SiteManagers made of protocol messages."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
import os
import signal
import ssl
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Final

import msgspec
import pytest
from sqlalchemy import select, update
from sqlalchemy.orm import Session

from gatelink import messages
from gatelink.messages.appliance import MAX_CHUNK_BYTES
from gm_server.accounts.web_sessions import open_session
from gm_server.acts import rollouts
from gm_server.acts.appliances import revoke_appliance
from gm_server.acts.firmware import BundleView, remove_bundle
from gm_server.acts.paging import Paging
from gm_server.acts.rollouts import NewRollout, RolloutView
from gm_server.acts.tokens import NewToken, make_token
from gm_server.appliances import bundle_files
from gm_server.appliances.domains import add_domain, get_domain
from gm_server.appliances.registry import add_appliance
from gm_server.appliances.rollouts import Terms, add_rollout
from gm_server.cli.program import run
from gm_server.database.tables import Appliance as ApplianceRecord
from gm_server.database.tables import AuditEntry
from gm_server.directory import DataDirectory
from gm_server.exceptions import Conflict
from gm_server.frontdoor import browsers
from gm_server.web.forms import csrf_token
from gm_server.web.visitors import cookie_text
from inproc.firmware_bundles import bundle_bytes, keep_bundle
from inproc.gm_people import CONSOLE, actor, settle
from inproc.gm_running import Appliance, Clock, RunningGm, make_directory, running_gm
from inproc.portal_person import SESSION, Person
from inproc.test_gm_process import GmProcess

DEADLINE_S: Final = 60.0
NAMES: Final = ("a", "b", "c", "d", "e")


class Gateway(Appliance):
    """A SiteManager that does what it is offered, word by word."""

    async def offered(self) -> messages.FirmwareOffer:
        assert self.conversation is not None
        async with asyncio.timeout(DEADLINE_S):
            while True:
                message = await self.conversation.receive(messages.GM_TO_APPLIANCE)
                if isinstance(message, messages.FirmwareOffer):
                    return message

    async def piece(self, bundle_id: str, offset: int, size_bytes: int = MAX_CHUNK_BYTES) -> bytes | str:
        """Return a piece, or the code of the refusal."""
        await self.say(messages.FirmwareFetch(request_id=77, bundle_id=bundle_id, offset=offset, size_bytes=size_bytes))
        assert self.conversation is not None
        async with asyncio.timeout(DEADLINE_S):
            while True:
                message = await self.conversation.receive(messages.GM_TO_APPLIANCE)
                if isinstance(message, messages.FirmwareChunk):
                    return message.data
                if isinstance(message, messages.Refusal):
                    return message.code

    async def fetch(self, offer: messages.FirmwareOffer) -> bytes:
        whole = bytearray()
        while piece := await self.piece(offer.bundle_id, len(whole)):
            assert isinstance(piece, bytes), piece
            whole += piece
        return bytes(whole)

    async def refused(self, bundle_id: str) -> None:
        """Ask until the bundle is not given any more."""
        async with asyncio.timeout(DEADLINE_S):
            while await self.piece(bundle_id, 0, 1) != "unknown-bundle":  # noqa: ASYNC110 - nobody tells
                await asyncio.sleep(0.02)

    async def tell(self, bundle_id: str, state: messages.FirmwareState, percent: int = 0, text: str = "") -> None:
        await self.say(messages.FirmwareProgress(bundle_id=bundle_id, state=state, percent=percent, text=text))


def furnish(session: Session) -> None:
    add_domain(session, "acme", 1.0)
    for name in NAMES:
        add_appliance(session, "acme", name, 1.0)


def with_images(session: Session) -> None:
    """All of them said once which firmware they run."""
    session.execute(update(ApplianceRecord).values(firmware="1.0"))


@contextlib.asynccontextmanager
async def plant(path: Path) -> AsyncIterator[tuple[RunningGm, dict[str, Gateway]]]:
    async with running_gm(path / "gm") as gm, contextlib.AsyncExitStack() as stack:
        gm.write(furnish)
        gateways = {}
        for name in NAMES:
            gateways[name] = Gateway(gm, await gm.enrolled_appliance(f"acme/{name}"))
            stack.callback(gateways[name].close)
        gm.write(with_images)
        yield gm, gateways


@contextlib.asynccontextmanager
async def gm_process(path: Path) -> AsyncIterator[GmProcess]:
    gm = GmProcess(make_directory(path))
    await gm.start()
    try:
        yield gm
    finally:
        await gm.stop(signal.SIGKILL)


def begin(gm: RunningGm, bundle: BundleView, **terms: object) -> RolloutView:
    new = msgspec.convert({"bundle": bundle.id, "domain": "acme", **terms}, NewRollout)
    return gm.write(rollouts.start_rollout, CONSOLE, gm.directory.bundle_files(), new, gm.clock())


def states(gm: RunningGm, rollout: RolloutView) -> dict[str, str]:
    page = gm.read(rollouts.list_targets, CONSOLE, rollout.id, Paging())
    return {target.appliance.rpartition("/")[2]: target.state for target in page.items}


def view(gm: RunningGm, rollout: RolloutView) -> RolloutView:
    return gm.read(rollouts.get_rollout, CONSOLE, rollout.id)


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(DEADLINE_S):
        while not condition():  # noqa: ASYNC110 - what is waited for knows nothing of tests
            await asyncio.sleep(0.02)


def events(gm: RunningGm) -> list[tuple[str, str, str]]:
    query = select(AuditEntry.event, AuditEntry.result, AuditEntry.actor_name).where(AuditEntry.event.like("firmware%"))
    return [(row[0], row[1], row[2]) for row in gm.read(lambda session: session.execute(query).all())]


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
            # Who was fetching is refused, and his giving up is no failure of his.
            await gateways["b"].refused(bundle.id)
            await gateways["b"].tell(bundle.id, "failed", text="the GateManager does not send the update")
            assert states(gm, rollout) == dict.fromkeys("bde", "pending") | {"a": "refused", "c": "fell-back"}
            gm.write(rollouts.resume_rollout, CONSOLE, gm.directory.bundle_files(), rollout.id, gm.clock())
            for name in "bde":
                assert (await gateways[name].offered()).bundle_id == bundle.id
            await gateways["d"].tell(bundle.id, "good")
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


def test_pieces_are_bounded_and_a_lost_file_stops_a_rollout(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with plant(tmp_path) as (gm, gateways):
            gateway = gateways["a"]
            await gateway.log_in()
            bundle = keep_bundle(gm, CONSOLE, "2.0", payload_bytes=3_000_000)
            rollout = begin(gm, bundle, domain="", appliances=("acme/a",))
            offer = await gateway.offered()
            # Asked for without waiting: each is answered, with its piece or with 'busy', and nothing piles up.
            for number in range(200):
                offset = number % 90 * MAX_CHUNK_BYTES
                await gateway.say(messages.FirmwareFetch(request_id=number, bundle_id=bundle.id, offset=offset))
            answers: dict[int, str] = {}
            assert gateway.conversation is not None
            async with asyncio.timeout(DEADLINE_S):
                while len(answers) < 200:
                    message = await gateway.conversation.receive(messages.GM_TO_APPLIANCE)
                    if isinstance(message, messages.FirmwareChunk):
                        answers[message.request_id] = "piece"
                    elif isinstance(message, messages.Refusal) and message.request_id is not None:
                        answers[message.request_id] = message.code
            assert set(answers.values()) <= {"piece", "busy"}
            assert "piece" in answers.values()
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


def test_backup_says_what_it_lacks_and_a_restored_server_asks_for_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Records of bundles come back, their files do not; what was being rolled out stands still until somebody looks."""
    gm = RunningGm(make_directory(tmp_path / "gm"), Clock())
    gm.write(furnish)
    gm.write(lambda session: session.execute(update(ApplianceRecord).values(firmware="1.0")))
    bundle = keep_bundle(gm, CONSOLE, "2.0")
    terms = Terms(wave_size=2, stop_after_failures=1, allow_older=False, during_sessions=False)

    def roll_out(session: Session) -> str:
        appliances = session.scalars(select(ApplianceRecord.id).order_by(ApplianceRecord.name)).all()
        domain_id = get_domain(session, "acme").id
        return add_rollout(session, bundle.id, domain_id, appliances, terms, "root", 1.0).id

    rollout_id = gm.write(roll_out)
    (tmp_path / "passphrase").write_text("nine wet otters\n")
    secret = ("--passphrase-file", str(tmp_path / "passphrase"))
    assert run(["--data", str(gm.directory.path), "backup", str(tmp_path / "file"), *secret]) == 0
    assert "not in it: the files of 1 firmware bundles (0.1 MiB)" in capsys.readouterr().out
    other = tmp_path / "other"
    assert run(["--data", str(other), "restore", str(tmp_path / "file"), *secret, "--yes"]) == 0
    assert "missing is the firmware of 1 bundles (gatelink-test-board 2.0)" in capsys.readouterr().out

    def gm_says(*words: str) -> str:
        assert run(["--data", str(other), "firmware", *words]) == 0, capsys.readouterr().err
        return capsys.readouterr().out

    [listed] = json.loads(gm_says("list", "--json"))
    assert (listed["id"], listed["version"], listed["file"]) == (bundle.id, "2.0", False)
    assert "stopped: the records are those of a backup" in gm_says("status", rollout_id)
    assert run(["--data", str(other), "firmware", "resume", rollout_id]) == 2
    assert "upload it again" in capsys.readouterr().err
    kept = gm.directory.bundle_files().path(bundle.id)
    assert bundle.id in gm_says("upload", str(kept))
    assert "is running: 5 to come" in gm_says("resume", rollout_id)
    [row] = json.loads(gm_says("status", "--json"))
    assert (row["state"], row["good"]) == ("running", "0/5")
    assert len(json.loads(gm_says("status", rollout_id, "--json"))) == 5
    assert "is stopped" in gm_says("stop", rollout_id)
    gm_says("remove", bundle.id)
    assert list(DataDirectory(other).bundle_files().folder.iterdir()) == []
    # The directory is a GateManager's with it.
    assert DataDirectory(other).strange_entries() == []
    cut = tmp_path / "cut"
    cut.write_bytes(kept.read_bytes()[:-100])
    assert run(["--data", str(other), "firmware", "upload", str(cut)]) == 2
    assert list(DataDirectory(other).bundle_files().folder.iterdir()) == []
    assert run(["--data", str(other), "firmware", "list"]) == 0
    assert "gm firmware upload" in capsys.readouterr().err


def test_upload_is_streamed_and_bounded_by_api_and_portal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def scenario() -> None:
        async with running_gm(tmp_path / "gm") as gm:
            gm.write(settle, gm.clock())
            token = gm.write(
                make_token, CONSOLE, NewToken(name="t", scopes=("read", "change"), days=1), gm.clock(), "boss"
            )
            folder = gm.directory.bundle_files().folder
            async with Person(gm, tmp_path) as person:
                send = person.client.post
                api = {"Authorization": f"Bearer {token.secret}", "Content-Type": "application/octet-stream"}
                whole = bundle_bytes("5.0", payload_bytes=5_000_000)

                async def pieces(upto: int) -> AsyncIterator[bytes]:
                    for offset in range(0, upto, 250_000):
                        yield whole[offset : min(offset + 250_000, upto)]

                made = await send("/api/v1/firmware?domain=tundra", headers=api, content=pieces(len(whole)))
                assert made.status_code == 201, made.text
                bundle = made.json()
                assert (bundle["version"], bundle["domain"], bundle["size_bytes"]) == ("5.0", "tundra", len(whole))
                assert bundle["sha256"] == hashlib.sha256(whole).hexdigest()
                assert made.headers["location"] == f"/api/v1/firmware/{bundle['id']}"
                assert (folder / f"{bundle['id']}.raucb").read_bytes() == whole
                assert (await send("/api/v1/firmware?domain=tundra", headers=api, content=whole)).status_code == 409
                cut = await send("/api/v1/firmware", headers=api, content=pieces(4_000_000))
                assert (cut.status_code, "no signature" in cut.text) == (422, True)
                wrong = await send("/api/v1/firmware", headers=api | {"Content-Type": "text/plain"}, content=whole)
                assert wrong.status_code == 415
                # Nobody who may not gets a byte onto the disk, and a browser needs the token of its session.
                secret = gm.write(open_session, gm.read(_user_id), None, "127.0.0.1", "test", gm.clock())
                cookie = {"Cookie": f"{SESSION}={cookie_text(secret)}", "Content-Type": "application/octet-stream"}
                nobody = await send("/firmware/upload", headers=cookie | {"Cookie": ""}, content=whole)
                assert nobody.status_code == 303
                assert (await send("/firmware/upload", headers=cookie, content=whole)).status_code == 403
                said = cookie | {"X-CSRF": csrf_token(secret)}
                foreign = said | {"Sec-Fetch-Site": "cross-site"}
                assert (await send("/firmware/upload", headers=foreign, content=whole)).status_code == 403
                there = await send("/firmware/upload", headers=said, content=whole)
                assert there.json() == {"to": there.json()["to"]}
                monkeypatch.setattr(bundle_files, "MAX_BUNDLE_BYTES", 1_500_000)
                long = await send("/firmware/upload?domain=zenith", headers=said, content=pieces(len(whole)))
                assert (long.status_code, "can have 1 MiB" in long.text) == (422, True)
                monkeypatch.setattr(bundle_files, "RESERVE_BYTES", 1 << 60)
                full = await send("/firmware/upload?domain=zenith", headers=said, content=pieces(1_000_000))
                assert (full.status_code, "too full" in full.text) == (503, True)
            assert len(list(folder.iterdir())) == 2

    asyncio.run(scenario())


def test_upload_that_breaks_off_leaves_nothing_and_one_that_goes_on_keeps_its_connection(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def scenario() -> None:
        async with running_gm(tmp_path / "gm") as gm:
            gm.write(settle, gm.clock())
            token = gm.write(make_token, CONSOLE, NewToken(name="t", scopes=("change",), days=1), gm.clock(), "boss")
            folder = gm.directory.bundle_files().folder
            whole = bundle_bytes("6.0")

            async def begin_upload() -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
                context = ssl._create_unverified_context()  # noqa: S323 - who it is does not matter here
                reader, writer = await asyncio.open_connection("127.0.0.1", gm.endpoint.port, ssl=context)
                head = f"POST /api/v1/firmware HTTP/1.1\r\nHost: gm\r\nAuthorization: Bearer {token.secret}\r\n"
                head += f"Content-Type: application/octet-stream\r\nContent-Length: {len(whole)}\r\n\r\n"
                writer.write(head.encode() + whole[:100])
                return reader, writer

            async def under_way() -> None:
                await until(lambda: folder.is_dir() and any(folder.glob(".upload-*")))

            reader, writer = await begin_upload()
            await under_way()
            [connection] = gm.server._browsers._of_users[gm.read(_user_id)]
            for number in range(1, 4):
                before = connection._deadline
                writer.write(whole[number * 100 : number * 100 + 100])
                # Each piece gives it more time.
                await until(lambda before=before: connection._deadline is not before)  # type: ignore[misc]
            writer.write(whole[400:])
            async with asyncio.timeout(DEADLINE_S):
                assert b"201" in await reader.readline()
            writer.close()
            assert len(list(folder.iterdir())) == 1
            _, writer = await begin_upload()
            await under_way()
            writer.transport.abort()
            await until(lambda: len(list(folder.iterdir())) == 1)
            # Who stops sending is cut off.
            monkeypatch.setattr(browsers, "REQUEST_S", 0.5)
            reader, writer = await begin_upload()
            async with asyncio.timeout(DEADLINE_S):
                with contextlib.suppress(ConnectionError):
                    assert await reader.read() == b""
            await until(lambda: len(list(folder.iterdir())) == 1)
            writer.close()

    asyncio.run(scenario())


def _user_id(session: Session) -> str:
    return actor(session, "boss").user_id

"""Files of firmware: uploaded by API and portal, left out of backups, brought back."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from sqlalchemy import select, update
from sqlalchemy.orm import Session

from gm_server.accounts.web_sessions import open_session
from gm_server.acts.tokens import NewToken, make_token
from gm_server.appliances import bundle_files
from gm_server.appliances.domains import get_domain
from gm_server.appliances.rollouts import Terms, add_rollout
from gm_server.cli.program import run
from gm_server.database.tables import Appliance as ApplianceRecord
from gm_server.directory import DataDirectory
from gm_server.frontdoor import browsers
from gm_server.web.forms import csrf_token
from gm_server.web.visitors import cookie_text
from inproc.firmware_bundles import bundle_bytes, keep_bundle
from inproc.firmware_plant import (
    DEADLINE_S,
    furnish,
    until,
)
from inproc.gm_people import CONSOLE, actor, settle
from inproc.gm_running import Clock, RunningGm, make_directory, running_gm
from inproc.portal_person import SESSION, Person


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

                # Who may not is refused before a byte is on the disk.
                looks = NewToken(name="t", scopes=("read", "change"), days=1)
                watcher = gm.write(make_token, CONSOLE, looks, gm.clock(), "tundra-observer")
                only = api | {"Authorization": f"Bearer {watcher.secret}"}
                assert (await send("/api/v1/firmware?domain=tundra", headers=only, content=whole)).status_code == 403
                assert not folder.exists()
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

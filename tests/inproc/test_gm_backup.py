"""Backup and restore: whole or not at all, unreadable without the passphrase, good enough to go on elsewhere."""

from __future__ import annotations

import asyncio
import hashlib
import io
import os
import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from sqlalchemy import select

from gatelink import messages
from gatelink.exceptions import GatelinkError, InputError
from gm_server.access.actors import at_the_console
from gm_server.appliances.domains import add_domain
from gm_server.audit.events import Event
from gm_server.audit.reading import Filter, page
from gm_server.backup import content, making
from gm_server.backup.content import FORMAT, FileInfo, Manifest
from gm_server.backup.making import stream_backup, write_backup
from gm_server.backup.restoring import restore
from gm_server.backup.vault import CHUNK_BYTES, VaultWriter, check_passphrase, open_vault
from gm_server.cli.program import run
from gm_server.database.revisions import KNOWN
from gm_server.database.tables import Domain
from gm_server.directory import READY, DataDirectory
from gm_server.exceptions import Conflict
from inproc.gm_running import Clock, RunningGm, connected_plant, make_directory

PASSPHRASE = "nine wet otters"
ROOT = at_the_console("root")
QUICK = 10
NAMES = ("appliance.pem", "device_ca.pem", "user_ca.pem", "web.pem", "config.toml")


def _backup(directory: DataDirectory) -> bytes:
    file = io.BytesIO()
    stream_backup(directory, file, PASSPHRASE, ROOT, 5.0, QUICK)
    return file.getvalue()


def _domains(directory: DataDirectory) -> list[str]:
    database = directory.database()
    try:
        with database.read() as session:
            return list(session.scalars(select(Domain.path).order_by(Domain.path)))
    finally:
        database.close()


def _with_domain(path: Path, domain: str) -> DataDirectory:
    directory = make_directory(path)
    RunningGm(directory, Clock()).write(add_domain, domain, 1.0)
    return directory


def _keys(directory: DataDirectory) -> dict[str, bytes]:
    return {name: (directory.path / name).read_bytes() for name in NAMES}


@pytest.mark.parametrize("size_bytes", [0, 1, CHUNK_BYTES, CHUNK_BYTES + 1, 3 * CHUNK_BYTES])
def test_vault_gives_back_what_was_put_in(size_bytes: int) -> None:
    data, file = os.urandom(size_bytes), io.BytesIO()
    writer = VaultWriter(file, PASSPHRASE, QUICK)
    for start in range(0, size_bytes, 10_000):
        writer.write(data[start : start + 10_000])
    writer.close()
    file.seek(0)
    assert b"".join(open_vault(file, PASSPHRASE)) == data


@pytest.mark.parametrize(
    "change",
    [
        lambda data: data[:-1],
        lambda data: data + b"\0\0\0\x10" + bytes(16),
        lambda data: data[: 36 + 4 + CHUNK_BYTES + 16],
        lambda data: data[:36] + data[36 + 4 + CHUNK_BYTES + 16 :],
        lambda data: data[:100] + bytes([data[100] ^ 1]) + data[101:],
        lambda data: data[:20] + bytes([data[20] ^ 1]) + data[21:],
        lambda data: data[:36],
        lambda data: data[:30],
        lambda data: b"",
        lambda data: data[:16] + b"\x1f" + data[17:],
        lambda data: data[:36] + b"\xff\xff\xff\xff" + data[40:],
        lambda data: b"X" + data[1:],
    ],
)
def test_vault_is_refused_when_anything_in_it_was_changed(change: Callable[[bytes], bytes]) -> None:
    file = io.BytesIO()
    writer = VaultWriter(file, PASSPHRASE, QUICK)
    writer.write(bytes(CHUNK_BYTES + 100))
    writer.close()
    with pytest.raises(InputError):
        list(open_vault(io.BytesIO(change(file.getvalue())), PASSPHRASE))


def test_wrong_or_weak_passphrase_is_refused() -> None:
    file = io.BytesIO()
    VaultWriter(file, PASSPHRASE, QUICK).close()
    file.seek(0)
    with pytest.raises(InputError, match="passphrase is wrong"):
        list(open_vault(file, "nine wet otter"))
    for weak in ("short", "aaaaaaaaaaaaaaa"):
        with pytest.raises(InputError, match="12 characters"):
            check_passphrase(weak)


def test_restored_elsewhere_everybody_who_pinned_the_old_one_connects(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with connected_plant(tmp_path / "gm") as (gm, appliance, user):
            gm.grant()
            # Beside the running server, while it works.
            data = await asyncio.to_thread(_backup, gm.directory)
            appliance.close()
            user.close()
        assert b"BEGIN" not in data
        assert b"SQLite" not in data
        elsewhere = DataDirectory(tmp_path / "other machine")
        restore(elsewhere, io.BytesIO(data), PASSPHRASE, ROOT, 6.0)
        assert {entry.stat().st_mode & 0o077 for entry in elsewhere.path.iterdir()} == {0}
        again = RunningGm(elsewhere, Clock())
        await again.server.start()
        try:
            appliance.gm = user.gm = again
            assert isinstance(await appliance.log_in(), messages.Welcome)
            assert isinstance(await user.log_in(), messages.Welcome)
            assert isinstance(await user.ask_for(appliance), messages.Connected)
            await appliance.hear_kind(messages.OpenSession)
            events = again.read(lambda session: [found.entry.event for found in page(session, Filter())])
            assert Event.BACKUP_MADE.value in events
            assert Event.RESTORED.value in events
        finally:
            appliance.close()
            user.close()
            await again.server.close()

    asyncio.run(scenario())


def test_restore_takes_the_place_of_what_is_there_and_keeps_that(tmp_path: Path) -> None:
    old, new = _with_domain(tmp_path / "old", "old"), _with_domain(tmp_path / "new", "new")
    (old.path / "acme.json").write_text("{}")
    keys = _keys(new)
    restore(old, io.BytesIO(_backup(new)), PASSPHRASE, ROOT, 6.0)
    assert _domains(old) == ["new"]
    assert _keys(old) == keys
    assert {"gm.sqlite3", "acme.json", *NAMES} <= {entry.name for entry in (old.path / "replaced").iterdir()}
    assert not (old.path / "acme.json").exists()
    restore(old, io.BytesIO(_backup(new)), PASSPHRASE, ROOT, 6.0)
    assert not any(entry.name.startswith((".restore", ".backup")) for entry in old.path.iterdir())


def _vault(content_of: dict[str, bytes], **changes: Any) -> bytes:
    """A backup that somebody who knows the passphrase made by hand."""
    infos = tuple(FileInfo(name, len(data), hashlib.sha256(data).hexdigest()) for name, data in content_of.items())
    fields = {
        "format": FORMAT,
        "software": "0",
        "gatemanager": "x",
        "serial": "x",
        "made_at": 1.0,
        "revision": KNOWN[-1],
        "files": infos,
        **changes,
    }
    encoded = msgspec.json.encode(Manifest(**fields))
    file = io.BytesIO()
    writer = VaultWriter(file, PASSPHRASE, QUICK)
    writer.write(len(encoded).to_bytes(4, "big") + encoded + b"".join(content_of.values()))
    writer.close()
    return file.getvalue()


def _database(path: Path, *statements: str) -> bytes:
    copy = path.with_name("crafted.sqlite3")
    shutil.copy(path, copy)
    connection = sqlite3.connect(copy)
    for statement in ("PRAGMA journal_mode = DELETE", *statements):
        connection.execute(statement)
    connection.commit()
    connection.close()
    data = copy.read_bytes()
    copy.unlink()
    return data


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"../evil": b"x"}, "other files"),
        ({"/etc/cron.d/evil": b"x"}, "other files"),
        ({"gm.sock": b"x"}, "other files"),
        ({"web.pem": b"no key"}, "private key"),
        ({"config.toml": b"schema = 1\nnonsense = 2\n"}, "nonsense"),
        ({"gm.sqlite3": b"SQLite format 3\0" + bytes(4096)}, "database"),
        ({"gm.sqlite3": b""}, "database"),
        ("trigger", "more than tables"),
        ("revision", "newer GateManager"),
        ("longer", "more than it says"),
        ("other", "not what was saved"),
    ],
)
def test_backup_that_is_not_ours_changes_nothing(tmp_path: Path, change: Any, text: str) -> None:
    directory = _with_domain(tmp_path / "gm", "kept")
    keys = _keys(directory)
    files = {"gm.sqlite3": _database(directory.database_path), **keys}
    if isinstance(change, dict):
        data = _vault({**files, **change})
    elif change == "trigger":
        statement = "CREATE TRIGGER evil AFTER INSERT ON users BEGIN DELETE FROM grants; END"
        data = _vault({**files, "gm.sqlite3": _database(directory.database_path, statement)})
    elif change == "revision":
        data = _vault(files, revision="9999")
    elif change == "longer":
        infos = tuple(FileInfo(name, len(value), hashlib.sha256(value).hexdigest()) for name, value in files.items())
        data = _vault({**files, "x": b"tail"}, files=infos)
    else:
        infos = tuple(FileInfo(name, len(value), "00" * 32) for name, value in files.items())
        data = _vault(files, files=infos)
    before = {entry.name for entry in tmp_path.iterdir()}
    with pytest.raises(GatelinkError, match=text):
        restore(directory, io.BytesIO(data), PASSPHRASE, ROOT, 6.0)
    assert (_domains(directory), _keys(directory)) == (["kept"], keys)
    assert not any(entry.name.startswith(".restore") for entry in directory.path.iterdir())
    assert {entry.name for entry in tmp_path.iterdir()} == before


def test_restore_keeps_off_other_directories_and_running_servers(tmp_path: Path) -> None:
    data = io.BytesIO(_backup(_with_domain(tmp_path / "new", "new")))
    home = tmp_path / "home"
    home.mkdir()
    (home / "letters").touch()
    with pytest.raises(Conflict, match="letters"):
        restore(DataDirectory(home), data, PASSPHRASE, ROOT, 6.0)
    directory = _with_domain(tmp_path / "gm", "kept")
    lock = directory.lock()
    with pytest.raises(GatelinkError, match="another `gm serve`"):
        restore(directory, data, PASSPHRASE, ROOT, 6.0)
    os.close(lock)


_CALLS = ("rename", "replace", "unlink", "rmdir", "mkdir", "link", "open")


def _killed_at(step: int, work: Callable[..., Any], *arguments: Any) -> bool:
    """Do it in a process that is gone, without a word, before its ``step``-th call that changes files."""
    child = os.fork()
    if child == 0:
        left = step

        def counted(call: Callable[..., Any]) -> Callable[..., Any]:
            def counting(*args: Any, **kwargs: Any) -> Any:
                nonlocal left
                left -= 1
                if left < 0:
                    os._exit(9)
                return call(*args, **kwargs)

            return counting

        try:
            for name in _CALLS:
                setattr(os, name, counted(getattr(os, name)))
            os.fsync = counted(lambda _descriptor: None)
            work(*arguments)
        except BaseException:  # noqa: BLE001 - the status is all that is told
            os._exit(1)
        os._exit(0)
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    assert status in (0, 9), status
    return status == 9


def test_restore_is_all_or_nothing_when_it_is_killed_at_any_step(tmp_path: Path) -> None:
    old, new = _with_domain(tmp_path / "old", "old"), _with_domain(tmp_path / "new", "new")
    data, keys = _backup(new), {"old": _keys(old), "new": _keys(new)}
    seen, step = [], 0
    while True:
        place = tmp_path / f"at {step}"
        shutil.copytree(old.path, place)
        # An old log beside the database must never meet the new database.
        (place / "gm.sqlite3-wal").write_bytes(b"of the old one")
        directory = DataDirectory(place)
        killed = _killed_at(step, restore, directory, io.BytesIO(data), PASSPHRASE, ROOT, 6.0)
        if (place / "gm.sqlite3-wal").exists() and (place / "gm.sqlite3-wal").read_bytes() == b"of the old one":
            (place / "gm.sqlite3-wal").unlink()
        directory.check_is_finished()
        [which] = _domains(directory)
        assert _keys(directory) == keys[which], step
        seen.append(which)
        # Whatever was left does not stand in the way of the next one.
        if step % 20 == 0:
            restore(directory, io.BytesIO(data), PASSPHRASE, ROOT, 7.0)
            assert _domains(directory) == ["new"]
        shutil.rmtree(place)
        if not killed:
            break
        step += 1
    assert step > 20
    assert seen == sorted(seen, reverse=True), "first the old one, from one step on the new one"
    assert set(seen) == {"old", "new"}


def test_backup_is_there_whole_or_not_at_all_when_it_is_killed_at_any_step(tmp_path: Path) -> None:
    directory = _with_domain(tmp_path / "gm", "kept")
    step = 0
    while True:
        output = tmp_path / f"backup {step}"
        killed = _killed_at(step, write_backup, directory, output, PASSPHRASE, ROOT, 5.0, QUICK)
        if output.exists():
            other = DataDirectory(tmp_path / f"other {step}")
            with output.open("rb") as file:
                restore(other, file, PASSPHRASE, ROOT, 6.0)
            assert _domains(other) == ["kept"]
        else:
            assert killed
        if not killed:
            break
        step += 1
    assert step > 4
    with pytest.raises(Conflict, match="exists already"):
        write_backup(directory, output, PASSPHRASE, ROOT, 5.0, QUICK)
    assert not list(directory.path.glob(".backup-*"))


def test_keys_that_change_in_the_middle_are_taken_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    directory, other = _with_domain(tmp_path / "gm", "kept"), _with_domain(tmp_path / "other", "x")
    copy, renewed = making._copy_database, (other.path / "appliance.pem").read_bytes()

    def copy_and_renew(source: Path, target: Path) -> None:
        copy(source, target)
        (directory.path / "appliance.pem").write_bytes(renewed)

    monkeypatch.setattr(making, "_copy_database", copy_and_renew)
    place = DataDirectory(tmp_path / "restored")
    restore(place, io.BytesIO(_backup(directory)), PASSPHRASE, ROOT, 6.0)
    assert (place.path / "appliance.pem").read_bytes() == renewed


def test_commands_ask_for_the_passphrase_and_bring_everything_back(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gm_server.backup.vault.LOG2_N", QUICK)
    directory = _with_domain(tmp_path / "gm", "kept")
    file, secret = tmp_path / "gm.backup", tmp_path / "passphrase"
    secret.write_text(PASSPHRASE + "\n")
    arguments = ["--passphrase-file", str(secret)]
    assert run(["--data", str(directory.path), "backup", str(file), *arguments]) == 0
    assert file.stat().st_mode & 0o077 == 0
    assert run(["--data", str(directory.path), "backup", str(file), *arguments]) == 2
    assert run(["--data", str(tmp_path / "new"), "restore", str(file), "--yes", *arguments]) == 0
    assert run(["--data", str(tmp_path / "new"), "domains", "list"]) == 0
    assert "kept" in capfd.readouterr().out
    secret.write_text("another passphrase\n")
    assert run(["--data", str(tmp_path / "third"), "restore", str(file), "--yes", *arguments]) == 2
    assert "passphrase is wrong" in capfd.readouterr().err


def test_names_of_a_backup_are_those_of_a_data_directory() -> None:
    assert set(content.NAMES) >= {"gm.sqlite3", *NAMES}
    assert content.NAMES[-1] == "config.toml"
    assert READY not in content.NAMES

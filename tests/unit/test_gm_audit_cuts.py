"""The audit log is cut: its older part goes into a file, the rest proves where it begins, and nothing is ever lost."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from gm_server.access.actors import Actor, Role, at_the_console
from gm_server.acts.audit import cut_log, list_entries, start_export
from gm_server.audit import cuts
from gm_server.audit.checkpoints import missing_behind
from gm_server.audit.cuts import add_cut, beginning, missing_at_the_beginning, sweep
from gm_server.audit.events import Event
from gm_server.audit.export import Csv, JsonLines
from gm_server.audit.log import Subject, record
from gm_server.audit.reading import Filter, count
from gm_server.audit.verification import Report, verify
from gm_server.cli.program import run
from gm_server.database import engine
from gm_server.database.engine import Database
from gm_server.database.tables import AuditCheckpoint, AuditCut, AuditEntry
from gm_server.directory import DataDirectory
from gm_server.exceptions import Conflict, Forbidden

ADMIN = at_the_console("root")
OF_LINE3 = Actor("usr-1", "ada", (Role("observer", "acme/line3"),), "portal")
OLD, NEW = 100.0, 4e9
"""Unix times: long past, and later than now."""
COUNT = 30
TEN_DAYS_S = 864_000


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A GateManager with as many old entries as new ones, and the first of all by a clock that ran ahead."""
    path = tmp_path_factory.mktemp("audit") / "gm"
    assert run(["--data", str(path), "init", "--name", "test", "--address", "gm.example.com"]) == 0
    with _database(path) as database, database.write() as session:
        for number in range(2 * COUNT):
            domain = ("acme/line3", "acme/line4")[number % 2]
            at = OLD + number if number < COUNT else NEW + number * TEN_DAYS_S
            record(session, ADMIN, Event.GRANT_ADDED, Subject(f"grt-{number}", f"{domain}/press", domain), at)
    return path


@pytest.fixture
def data(made: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(made, tmp_path / "gm"))


@contextmanager
def _database(path: Path) -> Iterator[Database]:
    database = DataDirectory(path).database()
    try:
        yield database
    finally:
        database.close()


def _numbers(database: Database) -> list[int]:
    with database.read() as session:
        begin = beginning(session)
        return sorted(number for (number,) in session.query(AuditEntry.number) if number > begin)


def _export(path: Path, wanted: Filter | None = None) -> list[bytes]:
    pieces: list[bytes] = []
    with _database(path) as database:
        writer = JsonLines(DataDirectory(path).appliance_identity(), "test", wanted or Filter(), "root", 5e9)
        while True:
            with database.read() as session:
                piece = writer.page(session)
            if piece is None:
                return b"".join(pieces).splitlines(keepends=True)
            pieces.append(piece)


def _gm(path: Path, *arguments: str) -> int:
    return run(["--data", str(path), "audit", *arguments])


def _numbers_in(lines: Sequence[bytes]) -> list[int]:
    found = [json.loads(line) for line in lines]
    return [line["number"] for line in found if line["line"] == "entry"]


def test_older_part_lies_in_a_file_and_the_rest_proves_where_it_begins(
    data: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    first, second, rest = (tmp_path / name for name in ("2024.jsonl", "2025.jsonl", "now.jsonl"))
    assert _gm(data, "cut", "--keep-days", "36500", "-o", str(first)) == 0
    assert "nothing in the log is older" in capfd.readouterr().out
    assert not first.exists()
    assert _gm(data, "cut", "-o", str(first)) == 0
    assert "30 entries up to number 30" in capfd.readouterr().out
    assert first.stat().st_mode & 0o077 == 0
    assert _numbers_in(first.read_bytes().splitlines()) == list(range(1, COUNT + 1))
    with _database(data) as database:
        # What is left, and the entry that says that it was cut.
        assert _numbers(database) == list(range(COUNT + 1, 2 * COUNT + 2))
        with database.read() as session:
            assert session.query(AuditEntry).count() == COUNT + 1
            assert session.query(AuditCheckpoint).count() == 1
            assert missing_at_the_beginning(session) == missing_behind(session) == ""
            [newest] = list_entries(session, ADMIN, Filter(event="audit.cut"))
            assert (newest.entry.details["last"], newest.entry.details["entries"]) == (COUNT, COUNT)
    # Once more, by another key meanwhile: the archive's first key stays good.
    assert run(["--data", str(data), "certificate", "renew", "--yes"]) == 0
    assert _gm(data, "cut", "--before", "2098-01-01", "-o", str(second)) == 0
    assert _gm(data, "export", "-o", str(rest)) == 0
    capfd.readouterr()
    assert _gm(data, "verify", str(first), str(second), str(rest)) == 0
    said = capfd.readouterr().out.splitlines()
    assert [line.startswith("good: ") for line in said] == [True] * 3
    assert "behind number 30 up to number" in said[1]
    assert _gm(data, "verify", str(rest)) == 0
    # A file of the row that is left out, taken twice, or of another order is missed.
    for files in ((first, rest), (second, first), (first, first), (rest, second)):
        assert _gm(data, "verify", *map(str, files)) == 1
        assert "something lies between them" in capfd.readouterr().err
    # Nothing is written over.
    assert _gm(data, "cut", "--before", "2099-01-01", "-o", str(second)) == 2
    assert "exists already" in capfd.readouterr().err
    assert _gm(data, "verify", str(second)) == 0


def test_who_sees_some_domains_exports_them_from_the_cut_on(data: Path, tmp_path: Path) -> None:
    assert _gm(data, "cut", "-o", str(tmp_path / "old.jsonl")) == 0
    with _database(data) as database, database.write() as session:
        wanted = start_export(session, OF_LINE3, Filter(), "json-lines", NEW)
        assert count(session, wanted) == COUNT // 2
        table = Csv(wanted)
        table.page(session)
        assert (table.page(session) or b"").count(b"\n") == COUNT // 2
    report = verify(_export(data, wanted))
    assert report.findings == []
    assert (report.begins_behind, report.entries, report.left_out) == (COUNT, COUNT // 2, COUNT // 2 + 2)


def _cut_by_database_alone(path: Path) -> None:
    """Somebody who has the database and not the key says that the log begins behind a signed entry."""
    with _database(path) as database, database.write() as session:
        last = session.query(AuditCheckpoint).order_by(AuditCheckpoint.number.desc()).first()
        assert last is not None
        fields = {"at": last.at, "hash": last.hash, "key_sha256": last.key_sha256, "signature": last.signature}
        session.query(AuditCut).delete()
        session.query(AuditEntry).filter(AuditEntry.number <= last.number).delete()
        session.add(AuditCut(number=last.number, **fields))


def _forget_the_cut(path: Path) -> None:
    with _database(path) as database, database.write() as session:
        session.query(AuditCut).delete()


def _take_one_more(path: Path) -> None:
    with _database(path) as database, database.write() as session:
        session.query(AuditEntry).filter(AuditEntry.number == COUNT + 1).delete()


@pytest.mark.parametrize(
    ("change", "finding"),
    [
        (_cut_by_database_alone, "is not signed: older entries were removed"),
        (_forget_the_cut, "entries 1 to 30 missing"),
        (_take_one_more, "entry 31 missing"),
    ],
)
def test_removal_that_was_no_cut_is_found(
    data: Path, tmp_path: Path, change: Callable[[Path], None], finding: str
) -> None:
    assert _gm(data, "cut", "-o", str(tmp_path / "old.jsonl")) == 0
    change(data)
    with _database(data) as database, database.write() as session:
        if change is not _cut_by_database_alone:
            assert "entries were removed" in missing_at_the_beginning(session)
        record(session, ADMIN, Event.GRANT_ENDED, Subject("grt-x", "x"), NEW)
    assert any(finding in text for text in verify(_export(data)).findings)


def test_cut_line_that_was_changed_or_moved_is_found(data: Path, tmp_path: Path) -> None:
    assert _gm(data, "cut", "-o", str(tmp_path / "old.jsonl")) == 0
    lines = _export(data)
    assert b'"cut"' in lines[1]
    cut = json.loads(lines[1])

    def with_cut(**fields: Any) -> list[bytes]:
        return [lines[0], json.dumps({**cut, **fields}, separators=(",", ":")).encode() + b"\n", *lines[2:]]

    changes = {
        "is not signed": [with_cut(number=29), with_cut(hash="00" * 32), with_cut(at=1.0)],
        "missing in front of entry 31": [[lines[0], *lines[2:]]],
        "a second beginning": [[*lines[:3], lines[1], *lines[3:]], [*lines[:2], lines[1], *lines[2:]]],
    }
    for finding, files in changes.items():
        for file in files:
            assert any(finding in text for text in verify(file).findings), finding


def test_only_the_servers_console_cuts_and_only_what_lies_in_a_whole_file(data: Path) -> None:
    identity = DataDirectory(data).appliance_identity()
    good = Report(findings=[], entries=30, last=30, end_hash=b"x" * 32)
    with _database(data) as database, database.write() as session:
        boss = Actor("usr-9", "boss", (Role("administrator", ""),), "portal")
        with pytest.raises(Forbidden):
            cut_log(session, boss, identity, good, b"", NEW)
        for bad in (Report(findings=["x"], last=30), Report(findings=[], last=0), Report(findings=[], begins_behind=7)):
            with pytest.raises(Conflict):
                cut_log(session, ADMIN, identity, bad, b"", NEW)


def test_entries_are_swept_away_in_small_steps(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cuts, "SWEPT_AT_ONCE", 7)
    with _database(data) as database:
        with database.write() as session:
            last = session.get_one(AuditEntry, COUNT)
            add_cut(session, DataDirectory(data).appliance_identity(), COUNT, last.hash, NEW)
        steps = 1
        while True:
            with database.write() as session:
                # What is not swept away yet is seen by nobody.
                assert count(session, Filter()) == COUNT
                if not sweep(session):
                    break
            steps += 1
        assert steps == 5
        with database.read() as session:
            assert session.query(AuditEntry).count() == COUNT


def test_nothing_is_lost_when_a_cut_is_killed_at_any_step(data: Path, tmp_path: Path) -> None:
    whole = list(range(1, 2 * COUNT + 1))
    step, seen = 0, set()
    while True:
        place, file = tmp_path / f"at {step}", tmp_path / f"old {step}.jsonl"
        shutil.copytree(data, place)
        is_killed = _killed_at(step, ["--data", str(place), "audit", "cut", "-o", str(file)])
        with _database(place) as database:
            left = _numbers(database)
        kept = _numbers_in(file.read_bytes().splitlines()) if file.exists() else []
        # Every entry is in one of the two places at least.
        assert set(whole) <= {*kept, *left}, step
        assert verify(_export(place)).findings == [], step
        if left[0] > 1:
            assert verify(file.read_bytes().splitlines(keepends=True)).findings == []
        seen.add((bool(kept), left[0] > 1))
        # Nor is it in the way of the next one.
        if step % 24 == 0:
            again = _gm(place, "cut", "-o", str(tmp_path / f"again {step}.jsonl"))
            assert again == 0
            with _database(place) as database:
                assert _numbers(database)[0] == COUNT + 1
        shutil.rmtree(place)
        if not is_killed:
            break
        # Around the file's name and the transaction each one; the reading before it in strides.
        step += 4
    assert seen == {(False, False), (True, False), (True, True)}


def _killed_at(step: int, command: list[str]) -> bool:
    """Run a command in a process that is gone, without a word, before its n-th change of files or statement."""
    child = os.fork()
    if child == 0:
        left = step

        def counted(call: Callable[..., Any]) -> Callable[..., Any]:
            def counting(*args: Any, **kwargs: Any) -> Any:
                one()
                return call(*args, **kwargs)

            return counting

        def one() -> None:
            nonlocal left
            left -= 1
            if left < 0:
                os._exit(9)

        prepare = engine._prepare

        def traced(connection: sqlite3.Connection, _record: Any) -> None:
            prepare(connection, _record)
            connection.set_trace_callback(lambda _statement: one())

        engine._prepare = traced
        for name in ("link", "unlink", "open"):
            setattr(os, name, counted(getattr(os, name)))
        os.fsync = counted(lambda _descriptor: None)
        try:
            status = run(command)
        except BaseException:  # noqa: BLE001 - the status is all that is told
            os._exit(1)
        os._exit(status)
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    assert status in (0, 9), status
    return status == 9

"""The audit log: its chain, its signatures, its export, who sees what of it."""

from __future__ import annotations

import csv
import datetime
import io
import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from sqlalchemy import text

from gatelink.exceptions import InputError
from gatelink.identity import Identity, key_sha256, self_signed
from gm_server.access.actors import Actor, Role, at_the_console
from gm_server.acts.audit import list_entries, start_export
from gm_server.audit.checkpoints import last_checkpoint, make_checkpoint, missing_behind
from gm_server.audit.events import Event
from gm_server.audit.export import Csv, JsonLines
from gm_server.audit.log import Subject, record
from gm_server.audit.reading import Filter, page
from gm_server.audit.verification import Report, verify
from gm_server.cli.program import run
from gm_server.database.engine import Database
from gm_server.database.revisions import upgrade
from gm_server.exceptions import Forbidden

NOW = datetime.datetime(2026, 11, 1, tzinfo=datetime.UTC)
IDENTITY = self_signed("gm", NOW, 3650)
OTHER = self_signed("impostor", NOW, 3650)
ADMIN = at_the_console("root")
OF_LINE3 = Actor("usr-1", "ada", (Role("observer", "acme/line3"),), "portal")


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("audit") / "gm.sqlite3"
    database = Database(path, create=True)
    upgrade(database)
    with database.write() as session:
        for number in range(1, 21):
            domain = ("", "acme", "acme/line3", "acme/line4")[number % 4]
            subject = Subject(f"grt-{number}", f"{domain}/press", domain)
            record(session, ADMIN, Event.GRANT_ADDED, subject, float(number), place="=1+1", bytes=2**40, ok=True)
            if number % 5 == 0:
                make_checkpoint(session, IDENTITY, float(number))
    database.close()
    return path


@pytest.fixture
def database(filled: Path, tmp_path: Path) -> Iterator[Database]:
    shutil.copy(filled, tmp_path / "gm.sqlite3")
    database = Database(tmp_path / "gm.sqlite3")
    yield database
    database.close()


def _export(database: Database, wanted: Filter | None = None, identity: Identity = IDENTITY) -> list[bytes]:
    writer = JsonLines(identity, "test", wanted or Filter(), "root", 100.0)
    pieces: list[bytes] = []
    while True:
        with database.read() as session:
            piece = writer.page(session)
        if piece is None:
            return b"".join(pieces).splitlines(keepends=True)
        pieces.append(piece)


def _check(lines: list[bytes]) -> Report:
    return verify(lines)


def test_export_is_good_when_nobody_touched_it(database: Database) -> None:
    report = _check(_export(database))
    assert report.findings == []
    assert (report.entries, report.last, report.checkpoints, report.left_out) == (20, 20, 4, 0)
    assert report.key_sha256 == key_sha256(IDENTITY.certificate)


def _edit(position: int, **fields: object) -> Callable[[list[bytes]], list[bytes]]:
    def edit(lines: list[bytes]) -> list[bytes]:
        changed = {**json.loads(lines[position]), **fields}
        return [*lines[:position], json.dumps(changed, separators=(",", ":")).encode() + b"\n", *lines[position + 1 :]]

    return edit


# Line 0 is the header; entries 1 to 5 are lines 1 to 5, line 6 is the first checkpoint.
@pytest.mark.parametrize(
    ("change", "finding"),
    [
        (_edit(3, actor_name="nobody"), "entry 3 does not follow"),
        (_edit(3, at=3.5), "entry 3 does not follow"),
        (_edit(3, hash="00" * 32), "entry 3 does not follow"),
        (_edit(3, details={}), "entry 3 does not follow"),
        (_edit(0, gatemanager="another"), "signature of the whole file"),
        (_edit(6, at=99.0), "signature of the checkpoint over entry 5"),
        (_edit(6, number=4), "checkpoint over entry 4 does not fit"),
        (lambda lines: lines[:3] + lines[4:], "entry 3 missing"),
        (lambda lines: lines[:3] + lines[5:], "entries 3 to 4 missing"),
        (lambda lines: lines[:1] + lines[2:], "entry 1 missing"),
        (lambda lines: [*lines[:3], lines[2], *lines[3:]], "entry 2 stands behind entry 2"),
        (lambda lines: [*lines[:3], lines[4], lines[3], *lines[5:]], "entry 3 missing in front of entry 4"),
        (lambda lines: lines[:6] + lines[7:], "signature of the whole file"),
        (lambda lines: lines[:-1], "cut off behind entry 20"),
        (lambda lines: lines[:7], "cut off behind entry 5"),
        (lambda lines: lines[:-2] + lines[-1:], "signature of the whole file"),
        (lambda lines: lines[:-3] + lines[-1:], "ends at entry 19"),
        (lambda lines: [*lines, lines[1]], "appended"),
        (lambda lines: [*lines[:5], lines[5][:40]], "cannot be read"),
    ],
)
def test_every_change_is_found_and_named(
    database: Database, change: Callable[[list[bytes]], list[bytes]], finding: str
) -> None:
    assert any(finding in text for text in _check(change(_export(database))).findings)


def test_whole_log_written_anew_by_somebody_without_the_key_has_another_key(database: Database) -> None:
    forged = _check(_export(database, identity=OTHER))
    assert forged.findings == []
    assert forged.key_sha256 != key_sha256(IDENTITY.certificate)
    lines = _export(database)
    mixed = [
        _edit(0, certificate=json.loads(_export(database, identity=OTHER)[0])["certificate"])(lines)[0],
        *lines[1:],
    ]
    assert _check(mixed).findings


def test_entries_that_a_reader_may_not_see_keep_the_chain_together(database: Database) -> None:
    with database.write() as session:
        wanted = start_export(session, OF_LINE3, Filter(), "json-lines", 50.0)
    lines = _export(database, wanted)
    report = _check(lines)
    assert report.findings == []
    assert (report.entries, report.left_out) == (5, 16)
    assert {json.loads(line)["domain"] for line in lines if b'"entry"' in line} == {"acme/line3"}
    assert b"acme/line4" not in b"".join(lines)
    without = [line for line in lines if b'"number":6,' not in line]
    assert any("entry 6" in text or "missing" in text for text in _check(without).findings)


@pytest.mark.parametrize(
    ("wanted", "numbers"),
    [
        (Filter(event="grant"), list(range(20, 0, -1))),
        (Filter(event="gran"), []),
        (Filter(subject="grt-7"), [7]),
        (Filter(domain="acme/line3"), [18, 14, 10, 6, 2]),
        (Filter(domain="acme", since=17, until=20), [19, 18, 17]),
        (Filter(actor="root", result="done", since=20), [20]),
        (Filter(actor="eve"), []),
        (Filter(domains=()), []),
    ],
)
def test_filter_finds_exactly(database: Database, wanted: Filter, numbers: list[int]) -> None:
    with database.read() as session:
        assert [found.entry.number for found in page(session, wanted)] == numbers


def test_reader_sees_his_domains_alone(database: Database) -> None:
    with database.read() as session:
        assert {found.entry.domain for found in list_entries(session, OF_LINE3, Filter())} == {"acme/line3"}
        assert list_entries(session, OF_LINE3, Filter(domain="acme/line4")) == []
        with pytest.raises(Forbidden):
            list_entries(session, Actor("usr-2", "eve", (), "portal"), Filter())


def test_removal_of_signed_entries_is_noticed_in_the_database(database: Database) -> None:
    with database.write() as session:
        assert missing_behind(session) == ""
        session.execute(text("DELETE FROM audit_entries WHERE number > 18"))
        assert "entry 20 was signed" in missing_behind(session)


def test_checkpoint_is_made_once_for_each_key(database: Database) -> None:
    with database.write() as session:
        assert not make_checkpoint(session, IDENTITY, 30.0)
        assert make_checkpoint(session, OTHER, 31.0)
        checkpoint = last_checkpoint(session)
        assert checkpoint is not None
        assert checkpoint.key_sha256 == key_sha256(OTHER.certificate)
    report = _check(_export(database))
    assert report.findings == []
    assert (report.checkpoints, report.other_checkpoints) == (3, 1)


def test_cells_of_the_table_are_never_formulas(database: Database) -> None:
    with database.write() as session:
        record(session, ADMIN, Event.GRANT_ADDED, Subject("x", "=HYPERLINK(1)"), 60.0)
    writer = Csv(Filter())
    text = b""
    with database.read() as session:
        while (piece := writer.page(session)) is not None:
            text += piece
    rows = list(csv.DictReader(io.StringIO(text.decode())))
    assert [int(row["number"]) for row in rows] == list(range(1, 22))
    assert rows[-1]["subject_name"] == "'=HYPERLINK(1)"


def test_file_that_is_no_audit_log_is_refused_in_one_line() -> None:
    for content in ([], [b"number,at\n"], [b'{"line":"end"}\n'], [b'{"line":"header","format":"x"}\n']):
        with pytest.raises(InputError):
            verify(content)


def test_commands_export_and_verify_offline(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    data, file = str(tmp_path / "gm"), tmp_path / "audit.jsonl"
    assert run(["--data", data, "init", "--name", "test", "--address", "gm.example.com"]) == 0
    key = next(line.split("key", 1)[1] for line in capfd.readouterr().out.splitlines() if " key " in line)
    assert run(["--data", data, "audit", "export", "-o", str(file)]) == 0
    assert run(["--data", data, "audit", "verify", str(file)]) == 0
    assert run(["--data", str(tmp_path / "nowhere"), "audit", "verify", str(file), "--key", key]) == 0
    assert "good: " in capfd.readouterr().out
    assert run(["--data", str(tmp_path / "nowhere"), "audit", "verify", str(file)]) == 2
    assert run(["--data", data, "audit", "verify", str(file), "--key", "00" * 16]) == 1
    file.write_bytes(file.read_bytes().replace(b"audit.exported", b"audit.exporteD"))
    assert run(["--data", data, "audit", "verify", str(file)]) == 1
    assert "entry 1 does not follow" in capfd.readouterr().err
    assert run(["--data", data, "audit", "list", "--event", "audit", "--json"]) == 0
    assert json.loads(capfd.readouterr().out)[0]["event"] == "audit.exported"

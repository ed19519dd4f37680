"""Databases of earlier releases are upgraded with everything that is in them; interrupted, they stay as they were."""

from __future__ import annotations

import os
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from gm_server.access.facts import load_facts
from gm_server.audit.events import Event
from gm_server.database import engine
from gm_server.database.engine import Database
from gm_server.database.revisions import KNOWN, check_is_newest, current, upgrade

KEPT = Path(__file__).parents[1] / "vectors" / "databases"
RELEASES = sorted(path.stem for path in KEPT.glob("*.sql"))
Content = dict[str, list[dict[str, Any]]]


def _make(path: Path, release: str) -> Path:
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript((KEPT / f"{release}.sql").read_text(encoding="utf-8"))
    return path


def _content(path: Path) -> Content:
    """Every row of every table."""
    with closing(sqlite3.connect(path)) as connection:
        connection.row_factory = sqlite3.Row
        names = [row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        return {name: [dict(row) for row in connection.execute(f"SELECT * FROM {name}")] for name in names}  # noqa: S608


@pytest.mark.parametrize("release", RELEASES)
def test_everything_is_kept_when_a_database_is_upgraded(tmp_path: Path, release: str) -> None:
    path = _make(tmp_path / "gm.sqlite3", release)
    before = _content(path)
    assert all(rows for rows in before.values()), "a kept database has something in every table"
    database = Database(path)
    assert current(database) == before["alembic_version"][0]["version_num"]
    assert upgrade(database)
    check_is_newest(database)
    assert not upgrade(database)
    # It is not only there, it counts: who might reach a device still may.
    with database.read() as session:
        facts = load_facts(session, ["usr-1", "usr-2"])
        assert set(facts.grants) == {"usr-1"}
        assert facts.knows(min(facts.user_certificates), 1e9)
        rights = facts.rights("usr-1", facts.appliances["sm-1"], 1e9)
        assert {device.name for device in rights.devices} == {"plc", "hmi"}
    database.close()
    after = _content(path)
    for table, rows in before.items():
        if table == "alembic_version":
            continue
        assert len(after[table]) == len(rows), table
        for old, new in zip(rows, after[table], strict=True):
            assert {name: new[name] for name in old} == old, table
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA foreign_key_check").fetchall() == []
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)


@pytest.mark.parametrize("release", RELEASES)
def test_database_is_as_it_was_when_the_upgrade_is_killed_at_any_statement(tmp_path: Path, release: str) -> None:
    original = _make(tmp_path / "original.sqlite3", release)
    before, statement, killed_times = _content(original), 0, 0
    while True:
        path = tmp_path / f"{statement}.sqlite3"
        shutil.copy(original, path)
        killed = _killed_at(path, statement)
        killed_times += killed
        if not killed:
            assert _content(path)["alembic_version"] == [{"version_num": KNOWN[-1]}]
            break
        assert _content(path) == before, statement
        path.unlink()
        # The first statements one by one, then every 23rd: each costs a process.
        statement += 1 if statement < 4 else 23
    assert killed_times > 6
    # What is left behind by a killed one does not stand in the way of the next.
    path = tmp_path / "again.sqlite3"
    shutil.copy(original, path)
    assert _killed_at(path, 30)
    database = Database(path)
    assert upgrade(database)
    database.close()


def _killed_at(path: Path, statement: int) -> bool:
    """Upgrade in a process that is gone, without a word, at its n-th statement."""
    child = os.fork()
    if child == 0:
        left = statement
        prepare = engine._prepare

        def counting(connection: sqlite3.Connection, _record: Any) -> None:
            prepare(connection, _record)

            def count(_statement: str) -> None:
                nonlocal left
                left -= 1
                if left < 0:
                    os._exit(9)

            connection.set_trace_callback(count)

        engine._prepare = counting
        try:
            database = Database(path)
            upgrade(database)
            database.close()
        except BaseException:  # noqa: BLE001 - the status is all that is told
            os._exit(1)
        os._exit(0)
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    assert status in (0, 9), status
    return status == 9


def test_every_event_has_a_name_of_its_own_that_stays() -> None:
    names = [event.value for event in Event]
    assert len(set(names)) == len(names)
    assert all(name == name.lower() and name.count(".") == 1 for name in names)

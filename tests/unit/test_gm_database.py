"""The tables' own rules, the migrations, the transactions."""

from __future__ import annotations

import asyncio
import os
import re
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, func, select, text
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

import gm_server
from gm_server.access.history import close_open_rows
from gm_server.database import tables
from gm_server.database.engine import Database
from gm_server.database.revisions import KNOWN, check_is_newest, current, migrate, upgrade
from gm_server.database.store import Store
from gm_server.exceptions import DatabaseError


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    database = Database(tmp_path / "gm.sqlite3", create=True)
    upgrade(database)
    yield database
    database.close()


def _plant(session: Session) -> None:
    session.add(tables.Domain(id="dom-1", path="acme", created_at=1.0))
    session.flush()
    session.add(tables.Appliance(id="sm-1", domain_id="dom-1", name="press", state="expected", created_at=1.0))
    session.add(tables.User(id="usr-1", domain_id="dom-1", name="ada", created_at=1.0))
    session.flush()
    session.add(tables.Device(id="dev-1", appliance_id="sm-1", name="plc", address="10.0.0.1"))
    session.flush()


def _form(connection: Connection) -> dict[str, list[str]]:
    """Return what SQLite knows of every table and index, in whatever order its parts were written."""
    query = text("SELECT name, sql FROM sqlite_master WHERE sql IS NOT NULL AND name <> 'alembic_version'")
    return {name: sorted(_parts(re.sub(r'["\s]', "", sql))) for name, sql in connection.execute(query)}


def _parts(statement: str) -> list[str]:
    """Split ``CREATETABLEx(a,b(c,d))`` at the commas of its outermost brackets."""
    parts, depth = [""], 0
    for character in statement:
        depth += (character == "(") - (character == ")")
        if (character, depth) in {(",", 1), ("(", 1), (")", 0)}:
            parts.append("")
        else:
            parts[-1] += character
    return parts


def test_migrations_make_exactly_the_tables(database: Database, tmp_path: Path) -> None:
    migrated = Database(tmp_path / "old.sqlite3", create=True)
    with migrated.migration() as connection:
        migrate(connection)
    with migrated.connection() as old, database.connection() as new:
        context = MigrationContext.configure(old, opts={"compare_type": True})
        assert compare_metadata(context, tables.Base.metadata) == []
        assert _form(old) == _form(new)
    assert current(migrated) == current(database) == KNOWN[-1]
    migrated.close()


def test_every_migration_is_known() -> None:
    config = Config()
    config.set_main_option("script_location", str(Path(gm_server.__path__[0]) / "migrations"))
    found = [script.revision for script in ScriptDirectory.from_config(config).walk_revisions()]
    assert tuple(reversed(found)) == KNOWN


def test_upgrade_is_done_once(tmp_path: Path) -> None:
    database = Database(tmp_path / "gm.sqlite3", create=True)
    assert current(database) is None
    with pytest.raises(DatabaseError, match="gm database upgrade"):
        check_is_newest(database)
    assert upgrade(database)
    assert not upgrade(database)
    check_is_newest(database)
    database.close()


def test_newer_database_is_refused(database: Database) -> None:
    with database.write() as session:
        session.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    for work in (upgrade, check_is_newest):
        with pytest.raises(DatabaseError, match="9999"):
            work(database)


def test_database_is_its_owners_alone(database: Database, tmp_path: Path) -> None:
    with database.write() as session:
        _plant(session)
    for file in tmp_path.iterdir():
        assert file.stat().st_mode & 0o077 == 0, file


@pytest.mark.parametrize(
    "record",
    [
        tables.Domain(id="dom-2", path="acme", created_at=1.0),
        tables.Domain(id="dom-2", parent_id="dom-9", path="x", created_at=1.0),
        tables.Appliance(id="sm-2", domain_id="dom-1", name="press", state="expected", created_at=1.0),
        tables.Appliance(id="sm-2", domain_id="dom-9", name="new", state="expected", created_at=1.0),
        tables.Appliance(id="sm-2", domain_id="dom-1", name="new", state="active", created_at=1.0),
        tables.Appliance(id="sm-2", domain_id="dom-1", name="new", state="odd", created_at=1.0),
        tables.User(id="usr-2", domain_id="dom-1", name="ada", created_at=1.0),
        tables.Device(id="dev-2", appliance_id="sm-1", name="plc", address="10.0.0.2"),
        tables.Device(id="dev-2", appliance_id="sm-1", name="hmi", address="10.0.0.1"),
        tables.Service(id="svc-1", device_id="dev-1", name="x", protocol="tcp", first_port=0, last_port=5),
        tables.Service(id="svc-1", device_id="dev-1", name="x", protocol="tcp", first_port=6, last_port=5),
        tables.Service(id="svc-1", device_id="dev-1", name="x", protocol="icmp", first_port=1, last_port=1),
        tables.Service(id="svc-1", device_id="dev-1", name="x", protocol="sctp", first_port=1, last_port=1),
        tables.Grant(id="grt-1", user_id="usr-1", all_services=True, created_at=1.0),
        tables.Grant(
            id="grt-1", user_id="usr-1", all_services=True, created_at=1.0, domain_id="dom-1", device_id="dev-1"
        ),
        tables.Grant(
            id="grt-1",
            user_id="usr-1",
            all_services=True,
            created_at=1.0,
            domain_id="dom-1",
            valid_from=2,
            valid_until=2,
        ),
        tables.Claim(id="clm-1", created_at=1.0, expires_at=2.0),
        tables.Claim(id="clm-1", created_at=1.0, expires_at=2.0, appliance_id="sm-1", user_id="usr-1"),
        tables.Claim(id="clm-1", created_at=1.0, expires_at=2.0, appliance_id="sm-1", used_at=1.0),
        tables.Claim(id="clm-1", created_at=1.0, expires_at=2.0, appliance_id="sm-1", revoked_at=1.0, proof_key=b"k"),
    ],
    ids=lambda record: type(record).__name__,
)
def test_schema_refuses_what_makes_no_sense(database: Database, record: tables.Base) -> None:
    with database.write() as session:
        _plant(session)
    columns = {column.key: getattr(record, column.key) for column in type(record).__table__.columns}
    with pytest.raises(IntegrityError), database.write() as session:
        session.add(type(record)(**columns))


def test_what_belongs_to_an_appliance_goes_with_it(database: Database) -> None:
    with database.write() as session:
        _plant(session)
        session.add(tables.Service(id="svc-1", device_id="dev-1", name="x", protocol="tcp", first_port=1, last_port=1))
        for number, target in enumerate(({"appliance_id": "sm-1"}, {"device_id": "dev-1"})):
            session.add(tables.Grant(id=f"grt-{number}", user_id="usr-1", all_services=False, created_at=1.0, **target))
        session.add(tables.Claim(id="clm-1", created_at=1.0, expires_at=2.0, appliance_id="sm-1"))
        session.flush()
        session.add(tables.GrantService(grant_id="grt-1", name="x"))
    with database.write() as session:
        session.delete(session.get_one(tables.Appliance, "sm-1"))
    with database.read() as session:
        for table in (tables.Device, tables.Service, tables.Grant, tables.GrantService, tables.Claim):
            assert session.scalar(select(func.count()).select_from(table)) == 0


def test_nothing_is_left_when_a_transaction_fails(database: Database) -> None:
    class Stopped(Exception):
        pass

    def fail() -> None:
        with database.write() as session:
            _plant(session)
            raise Stopped

    with pytest.raises(Stopped):
        fail()
    with database.read() as session:
        assert session.scalar(select(func.count()).select_from(tables.Domain)) == 0


def test_changes_of_others_are_noticed_and_ones_own_are_not(tmp_path: Path, database: Database) -> None:
    other = Database(tmp_path / "gm.sqlite3", create=True)
    before = database.foreign_changes()
    with database.write() as session:
        _plant(session)
    assert database.foreign_changes() == before
    with other.write() as session:
        session.execute(text("UPDATE users SET name = 'eve'"))
    assert database.foreign_changes() != before
    other.close()


def test_store_works_in_one_thread_beside_the_loop(tmp_path: Path) -> None:
    def thread(_session: Session) -> int:
        return threading.get_ident()

    async def scenario() -> None:
        database = Database(tmp_path / "gm.sqlite3", create=True)
        upgrade(database)
        store = Store(database)
        threads = {await store.read(thread) for _ in range(3)} | {await store.write(thread)}
        assert len(threads) == 1
        assert threading.get_ident() not in threads
        assert await store.changed()
        assert not await store.changed()
        await store.note(close_open_rows, 1.0)
        assert not await store.changed()
        await store.write(close_open_rows, 1.0)
        assert await store.changed()
        store.close()

    asyncio.run(scenario())


def test_one_clear_line_when_the_file_is_no_database(tmp_path: Path) -> None:
    (tmp_path / "gm.sqlite3").write_bytes(b"nonsense" * 1000)
    database = Database(tmp_path / "gm.sqlite3", create=True)
    with pytest.raises(DatabaseError, match="cannot be used"):
        current(database)
    database.close()
    assert os.path.exists(tmp_path / "gm.sqlite3")  # noqa: PTH110 - kept for a backup's sake


def test_missing_database_is_not_made_anew(tmp_path: Path) -> None:
    with pytest.raises(DatabaseError, match="restore it from a backup"):
        Database(tmp_path / "gm.sqlite3")
    assert list(tmp_path.iterdir()) == []

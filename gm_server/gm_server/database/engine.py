"""Opens the database and runs transactions on it: short, one at a time, all or nothing.

SQLite with a write-ahead log: the command line works beside the running server. A writing transaction takes the lock
at its beginning (``BEGIN IMMEDIATE``), so that what it read still holds when it writes.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from sqlalchemy import Connection, create_engine, event
from sqlalchemy.exc import DataError, DBAPIError, IntegrityError, ProgrammingError
from sqlalchemy.orm import Session
from sqlalchemy.pool import StaticPool

from gm_server.exceptions import DatabaseError

_BUSY_TIMEOUT_MS: Final = 10_000


class Database:
    """One connection. Usable from any thread, by one at a time. ``info``: what every session knows of the settings."""

    def __init__(self, path: Path, *, create: bool = False, info: Mapping[str, Any] | None = None) -> None:
        self._path = path
        self._info = dict(info or {})
        try:
            os.close(os.open(path, os.O_RDWR | os.O_CLOEXEC | (os.O_CREAT if create else 0), 0o600))
        except FileNotFoundError:
            raise DatabaseError(f"the database {path} is missing: restore it from a backup") from None
        self._engine = create_engine(
            f"sqlite:///{path}", poolclass=StaticPool, connect_args={"check_same_thread": False}
        )
        event.listen(self._engine, "connect", _prepare)
        event.listen(self._engine, "begin", _begin)
        self._reading = self._engine.execution_options(gm_reads=True)

    @contextmanager
    def read(self) -> Iterator[Session]:
        """A transaction that changes nothing and sees one moment."""
        with self._translated(), Session(self._reading, autoflush=False, info=self._info) as session:
            yield session

    @contextmanager
    def write(self) -> Iterator[Session]:
        """A transaction that is committed at the end, or leaves nothing behind."""
        with (
            self._translated(),
            Session(self._engine, expire_on_commit=False, info=self._info) as session,
            session.begin(),
        ):
            yield session

    @contextmanager
    def connection(self) -> Iterator[Connection]:
        """A writing transaction without the object layer."""
        with self._translated(), self._engine.begin() as connection:
            yield connection

    @contextmanager
    def migration(self) -> Iterator[Connection]:
        """A writing transaction in which tables may be replaced: foreign keys are checked at its end, not followed.

        Otherwise the end of an old table would take with it what belongs to its rows.
        """
        with self._translated():
            self._follow_foreign_keys("OFF")
            try:
                with self._engine.begin() as connection:
                    yield connection
                    broken = connection.exec_driver_sql("PRAGMA foreign_key_check").all()
                    if broken:
                        raise DatabaseError(
                            f"the database {self._path} cannot be upgraded: {len(broken)} rows belong to nothing, "
                            f"the first in the table {broken[0][0]}; it is as it was: restore a backup"
                        )
            finally:
                self._follow_foreign_keys("ON")

    def foreign_changes(self) -> int:
        """Return a number that differs whenever another process has committed since it was asked last."""
        with self._translated():
            raw = self._engine.raw_connection()
            try:
                cursor = raw.cursor()
                cursor.execute("PRAGMA data_version")
                row = cursor.fetchone()
                cursor.close()
            finally:
                raw.close()
        return int(row[0]) if row else 0

    def close(self) -> None:
        """Close the connection."""
        self._engine.dispose()

    def _follow_foreign_keys(self, how: str) -> None:
        raw = self._engine.raw_connection()
        try:
            raw.cursor().execute(f"PRAGMA foreign_keys = {how}").close()
        finally:
            raw.close()

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except DBAPIError as error:
            # Broken rules of the schema and mistakes in a statement are faults of ours: they pass.
            if isinstance(error, IntegrityError | ProgrammingError | DataError):
                raise
            raise DatabaseError(f"the database {self._path} cannot be used: {error.orig}") from None


def _prepare(connection: sqlite3.Connection, _record: Any) -> None:
    # The driver's own idea of transactions is off; ``_begin`` says when they begin.
    connection.isolation_level = None
    for pragma in (
        f"busy_timeout = {_BUSY_TIMEOUT_MS}",
        "journal_mode = WAL",
        "synchronous = FULL",
        "foreign_keys = ON",
        "secure_delete = ON",
    ):
        connection.execute(f"PRAGMA {pragma}").close()


def _begin(connection: Connection) -> None:
    reads = connection.get_execution_options().get("gm_reads", False)
    connection.exec_driver_sql("BEGIN" if reads else "BEGIN IMMEDIATE")

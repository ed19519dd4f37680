"""Brings a database to the newest form, and refuses one that is newer than this program."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from sqlalchemy import Connection, inspect, text

from gm_server.exceptions import DatabaseError

from .engine import Database
from .tables import Base

KNOWN: Final = ("0001", "0002")
"""Every revision under ``migrations/versions``, oldest first."""


def current(database: Database) -> str | None:
    """Return the revision of a database; None if it is empty."""
    with database.connection() as connection:
        return _current(connection)


def check_is_newest(database: Database) -> None:
    """Raise DatabaseError that says what to do unless the database has exactly the newest form."""
    revision = current(database)
    _refuse_newer(revision)
    if revision != KNOWN[-1]:
        raise DatabaseError(
            f"the database is of version {revision or 'none'}, expected {KNOWN[-1]}: run `gm database upgrade`"
        )


def upgrade(database: Database) -> bool:
    """Bring the database to the newest form, in one transaction; return whether there was something to do.

    A new one is made in that form at once; an older one runs the migrations that it lacks.
    """
    with database.migration() as connection:
        revision = _current(connection)
        _refuse_newer(revision)
        if revision == KNOWN[-1]:
            return False
        if revision is None and not inspect(connection).get_table_names():
            Base.metadata.create_all(connection)
            connection.execute(text("CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL PRIMARY KEY)"))
            connection.execute(text("INSERT INTO alembic_version VALUES (:newest)"), {"newest": KNOWN[-1]})
            return True
        migrate(connection)
    return True


def migrate(connection: Connection) -> None:
    """Run every migration that is missing."""
    # Slow to import, and needed once in a database's life.
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent.parent / "migrations").replace("%", "%%"))
    config.attributes["connection"] = connection
    command.upgrade(config, "head")


def _current(connection: Connection) -> str | None:
    if not inspect(connection).has_table("alembic_version"):
        return None
    revision = connection.execute(text("SELECT version_num FROM alembic_version")).scalar()
    return None if revision is None else str(revision)


def _refuse_newer(revision: str | None) -> None:
    if revision is not None and revision not in KNOWN:
        raise DatabaseError(
            f"the database is of version {revision}, this program knows up to {KNOWN[-1]}: "
            "install the newer GateManager again"
        )

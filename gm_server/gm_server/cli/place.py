"""Where a command works: the data directory, its database and its running server."""

from __future__ import annotations

import getpass
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import click
from sqlalchemy.orm import Session

from gm_server.access.actors import Actor, at_the_console
from gm_server.database.engine import Database
from gm_server.database.revisions import check_is_newest
from gm_server.directory import DataDirectory
from gm_server.exceptions import NotRunning
from gm_server.local.ask import ask
from gm_server.local.messages import Answer, Question

DATA_VARIABLE: Final = "GATELINK_GM_DATA"
DEFAULT_DATA: Final = "/var/lib/gatelink-gm"


class Place:
    """What every command gets (``click.pass_obj``)."""

    def __init__(self, path: Path) -> None:
        self.directory = DataDirectory(path)

    @property
    def now(self) -> float:
        """Unix time."""
        return time.time()

    @property
    def actor(self) -> Actor:
        """Who sits at this command line, as the system knows him."""
        try:
            return at_the_console(getpass.getuser())
        except (OSError, KeyError):
            return at_the_console("console")

    @contextmanager
    def read(self) -> Iterator[Session]:
        """A reading transaction."""
        with self.database() as database, database.read() as session:
            yield session

    @contextmanager
    def write(self) -> Iterator[Session]:
        """A transaction: all of it or nothing."""
        with self.database() as database, database.write() as session:
            yield session

    def ask(self, question: Question, timeout_s: float = 15.0) -> Answer:
        """Ask the running server; raises NotRunning."""
        self.directory.check_is_finished()
        return ask(self.directory.path, question, timeout_s)

    def ask_if_running(self, question: Question) -> Answer | None:
        """Ask the running server; None if there is none."""
        try:
            return self.ask(question)
        except NotRunning:
            return None

    @contextmanager
    def database(self) -> Iterator[Database]:
        """The records, of this program's form."""
        database = self.directory.database()
        try:
            check_is_newest(database)
            yield database
        finally:
            database.close()


pass_place = click.make_pass_decorator(Place)

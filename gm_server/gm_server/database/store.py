"""The server's way to the database: one dedicated thread, so that the event loop never waits for a disk."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Concatenate, ParamSpec, TypeVar

from sqlalchemy.orm import Session

from .engine import Database

P = ParamSpec("P")
R = TypeVar("R")


class Store:
    """Runs functions of a database session, one at a time, in order."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="database")
        self._foreign = -1
        self._own_changes = True
        self.writes = 0
        """Rises whenever something was committed, by us or by another process."""

    async def read(self, work: Callable[Concatenate[Session, P], R], *args: P.args, **kwargs: P.kwargs) -> R:
        """Return the result of ``work`` in a reading transaction."""

        def run() -> R:
            with self._database.read() as session:
                return work(session, *args, **kwargs)

        return await asyncio.get_running_loop().run_in_executor(self._thread, run)

    async def note(self, work: Callable[Concatenate[Session, P], R], *args: P.args, **kwargs: P.kwargs) -> R:
        """Commit bookkeeping on which nobody's rights depend (presence, history)."""

        def run() -> R:
            with self._database.write() as session:
                return work(session, *args, **kwargs)

        try:
            return await asyncio.get_running_loop().run_in_executor(self._thread, run)
        finally:
            self.writes += 1

    async def write(self, work: Callable[Concatenate[Session, P], R], *args: P.args, **kwargs: P.kwargs) -> R:
        """Commit a change after which rights are to be decided anew."""
        try:
            return await self.note(work, *args, **kwargs)
        finally:
            self._own_changes = True

    def touch(self) -> None:
        """Let ``changed`` say yes once more."""
        self._own_changes = True

    async def changed(self) -> bool:
        """Whether rights may have changed since this was asked last, by us or by another process."""
        foreign = await asyncio.get_running_loop().run_in_executor(self._thread, self._database.foreign_changes)
        changed = self._own_changes or foreign != self._foreign
        self.writes += foreign != self._foreign
        self._foreign = foreign
        self._own_changes = False
        return changed

    def close(self) -> None:
        """Finish what is queued, then close."""
        self._thread.shutdown(wait=True)
        self._database.close()

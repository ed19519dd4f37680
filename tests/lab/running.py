"""The run directory of a lab, and the lock that keeps a second lab with the same prefix out."""

from __future__ import annotations

import fcntl
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from lab import rights
from lab.exceptions import LabError, LabInUse

_PREFIX_LENGTH = 12


def prefix_in_use(prefix: str | None) -> str:
    """The prefix given, or that of the environment (GATELINK_LAB_PREFIX), or `gl`. Raises LabError for an odd one."""
    chosen = prefix or os.environ.get("GATELINK_LAB_PREFIX") or "gl"
    if not re.fullmatch(rf"[a-z][a-z0-9]{{0,{_PREFIX_LENGTH - 1}}}", chosen):
        raise LabError(f"lab prefix {chosen!r}: expected 1 to {_PREFIX_LENGTH} letters a-z and digits, a letter first")
    return chosen


def run_directory(prefix: str) -> Path:
    """Where the lab keeps its state and its logs while it is up."""
    return rights.run_root() / prefix


def owner(prefix: str) -> int | None:
    """The pid of the process that has this lab up, as seen from outside of any user namespace; None if nobody has."""
    try:
        file = _lock_path(prefix).open(encoding="ascii")
    except FileNotFoundError:
        return None
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            written = file.read().strip()
            return int(written) if written.isdecimal() else None
    return None


class Lock:
    """Held while a lab is up; the kernel lets go of it when the process dies. Raises LabInUse when another holds it."""

    def __init__(self, prefix: str) -> None:
        self._path = _lock_path(prefix)
        self._file = self._path.open("a+", encoding="ascii")
        while True:
            try:
                fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                self._file.seek(0)
                written = self._file.read().strip()
                self._file.close()
                raise LabInUse(prefix, int(written) if written.isdecimal() else None) from None
            if _is_same_file(self._file.fileno(), self._path):
                break
            # The holder before us removed the file between our opening and our locking it.
            self._file.close()
            self._file = self._path.open("a+", encoding="ascii")
        self._file.truncate(0)
        self._file.write(f"{rights.own_pid()}\n")
        self._file.flush()

    def release(self) -> None:
        """Let the next one in."""
        self._path.unlink(missing_ok=True)
        self._file.close()


def _is_same_file(descriptor: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return False


def _lock_path(prefix: str) -> Path:
    return rights.run_root() / f"{prefix}.lock"


@contextmanager
def alone(directory: Path) -> Iterator[None]:
    """Wait until nobody else changes what is in this run directory, and keep others out meanwhile."""
    with (directory / "changes.lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def remove(directory: Path) -> None:
    """Remove a run directory, whatever is in it; nothing happens if there is none."""
    shutil.rmtree(directory, ignore_errors=True)

"""Puts a backup in the place of a data directory: all of it or nothing, whenever the power fails.

1. Everything is decrypted into ``.restore-...`` inside the directory and checked; what is there now is untouched.
2. That folder is renamed to ``restore.ready``: from this moment on the backup counts.
3. What was there goes to ``replaced``; then what was checked takes its place, ``config.toml`` last. Whoever opens the
   directory next goes on with this step if it was interrupted (``finish``); it can be repeated at every point.

It never writes outside the data directory: names are those of a fixed list.
"""

from __future__ import annotations

import os
import secrets
import shutil
from pathlib import Path
from typing import BinaryIO, Final

from sqlalchemy import delete

from gatelink.exceptions import GatelinkError
from gatelink.files import sync_directory
from gm_server.access.actors import Actor
from gm_server.appliances.rollouts import stop_all
from gm_server.audit.events import Event
from gm_server.audit.log import Subject, record
from gm_server.database.engine import Database
from gm_server.database.revisions import upgrade
from gm_server.database.tables import WebSession
from gm_server.directory import READY, REPLACED, STAGING, DataDirectory
from gm_server.exceptions import Conflict

from .content import CONFIG, DATABASE, NAMES, Manifest, Reader, as_one_file, check_files, copy_file, read_manifest
from .vault import open_vault

_MOVED: Final = "old-files-moved"
STOPPED: Final = "stopped: the records are those of a backup; look what gateways run by now, then resume"
_BESIDE_DATABASE: Final = (f"{DATABASE}-wal", f"{DATABASE}-shm", f"{DATABASE}-journal")
"""They belong to the database that goes: with another one they would be its end."""


def restore(directory: DataDirectory, file: BinaryIO, passphrase: str, by: Actor, now: float) -> Manifest:
    """Put the backup in place; raises InputError, and then nothing has changed. The server must not run."""
    path = directory.path
    _check_place(directory)
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    path.chmod(0o700)
    lock = directory.lock()
    try:
        finish(path)
        for stale in path.glob(f"{STAGING}*"):
            shutil.rmtree(stale)
        staging = path / f"{STAGING}{secrets.token_hex(4)}"
        staging.mkdir(mode=0o700)
        try:
            manifest = _unpack(file, passphrase, staging)
            check_files(staging)
            _prepare(staging / DATABASE, manifest, by, now)
            _sync(staging)
            if (path / REPLACED).exists():
                shutil.rmtree(path / REPLACED)
            staging.rename(path / READY)
        except BaseException:
            shutil.rmtree(staging, ignore_errors=True)
            raise
        sync_directory(path)
        finish(path)
    finally:
        os.close(lock)
    return manifest


def finish(path: Path) -> bool:
    """Go on with a restore that counts already; False if there is none. Whoever calls holds the directory's lock."""
    ready, replaced, moved = path / READY, path / REPLACED, path / READY / _MOVED
    if not ready.exists():
        return False
    if not moved.exists():
        # Whatever of these names is still here is of the old directory. Without config.toml nothing takes it for one.
        replaced.mkdir(mode=0o700, exist_ok=True)
        for name in (CONFIG, *_BESIDE_DATABASE, *NAMES):
            if (path / name).exists():
                (path / name).rename(replaced / name)
        sync_directory(replaced)
        sync_directory(path)
        moved.touch(mode=0o600)
        sync_directory(ready)
    for name in NAMES:
        if (ready / name).exists():
            (ready / name).rename(path / name)
            sync_directory(path)
    # The folder first loses its name as one that counts: an empty one would begin anew.
    done = path / f"{STAGING}done"
    ready.rename(done)
    shutil.rmtree(done)
    sync_directory(path)
    return True


def _check_place(directory: DataDirectory) -> None:
    """Raise Conflict unless the directory is empty, a GateManager's, or one that was begun."""
    if directory.path.is_dir() and not directory.is_finished:
        strange = directory.strange_entries()
        if strange:
            raise Conflict(
                f"{directory.path} holds other files ({strange[0]}): name a directory of its own with --data"
            )


def _unpack(file: BinaryIO, passphrase: str, staging: Path) -> Manifest:
    reader = Reader(open_vault(file, passphrase))
    manifest = read_manifest(reader)
    free_bytes = shutil.disk_usage(staging).free
    if sum(info.size_bytes for info in manifest.files) > free_bytes:
        raise GatelinkError(f"the backup needs more room than is left on the disk ({free_bytes >> 20} MiB)")
    for info in manifest.files:
        descriptor = os.open(staging / info.name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "wb") as target:
            copy_file(reader, info, target)
    reader.check_end()
    return manifest


def _prepare(path: Path, manifest: Manifest, by: Actor, now: float) -> None:
    """Bring the database to this program's form; nobody stays signed in by an old cookie, nothing is rolled out."""
    database = Database(path)
    try:
        upgrade(database)
        with database.write() as session:
            session.execute(delete(WebSession))
            stop_all(session, STOPPED)
            subject = Subject(name=manifest.gatemanager)
            record(session, by, Event.RESTORED, subject, now, made_at=manifest.made_at, serial=manifest.serial)
    finally:
        database.close()
    as_one_file(path)


def _sync(staging: Path) -> None:
    for entry in staging.iterdir():
        descriptor = os.open(entry, os.O_RDONLY | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
    sync_directory(staging)

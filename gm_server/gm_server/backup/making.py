"""Makes a backup, also beside a running server: keys and database are those of one moment."""

from __future__ import annotations

import contextlib
import hashlib
import os
import secrets
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, Final

import msgspec

from gatelink.exceptions import GatelinkError
from gatelink.files import sync_directory
from gm_server import __version__
from gm_server.access.actors import Actor
from gm_server.appliances.firmware import count_bundles
from gm_server.audit.events import Event
from gm_server.audit.log import Subject, record
from gm_server.database.revisions import current
from gm_server.directory import DataDirectory
from gm_server.exceptions import Conflict

from .content import CONFIG, DATABASE, FORMAT, KEYS, OPTIONAL, FileInfo, Manifest, as_one_file
from .vault import VaultWriter, check_passphrase

_ATTEMPTS: Final = 5
_COPY: Final = ".backup-"


def write_backup(
    directory: DataDirectory, output: Path, passphrase: str, by: Actor, now: float, log2_n: int | None = None
) -> Manifest:
    """Write a backup to ``output``, which must not exist; it appears whole or not at all."""
    check_passphrase(passphrase)
    if output.exists():
        raise Conflict(f"{output} exists already: name another file")
    partial = output.with_name(f".{output.name}.partial")
    with contextlib.suppress(FileNotFoundError):
        partial.unlink()
    descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            manifest = stream_backup(directory, file, passphrase, by, now, log2_n)
            file.flush()
            os.fsync(file.fileno())
        # A link, not a renaming: a file that came into being meanwhile is not overwritten.
        os.link(partial, output)
    except FileExistsError:
        raise Conflict(f"{output} exists already: name another file") from None
    finally:
        partial.unlink(missing_ok=True)
    sync_directory(output.absolute().parent)
    return manifest


def stream_backup(
    directory: DataDirectory, file: BinaryIO, passphrase: str, by: Actor, now: float, log2_n: int | None = None
) -> Manifest:
    """Write a backup into an open file."""
    check_passphrase(passphrase)
    database = directory.database()
    try:
        with database.write() as session:
            subject = Subject(name=directory.config().name)
            record(session, by, Event.BACKUP_MADE, subject, now)
            bundles, bundle_bytes = count_bundles(session)
        revision = current(database) or ""
    finally:
        database.close()
    with _snapshot(directory) as (copy, small):
        infos = [_file_info(DATABASE, copy)]
        infos += [FileInfo(name, len(data), hashlib.sha256(data).hexdigest()) for name, data in small.items()]
        manifest = Manifest(
            format=FORMAT,
            software=__version__,
            gatemanager=directory.config().name,
            serial=directory.appliance_identity().serial,
            made_at=now,
            revision=revision,
            firmware_bundles=bundles,
            firmware_bytes=bundle_bytes,
            files=tuple(infos),
        )
        vault = VaultWriter(file, passphrase, log2_n)
        encoded = msgspec.json.encode(manifest)
        vault.write(len(encoded).to_bytes(4, "big") + encoded)
        with copy.open("rb") as database_file:
            while piece := database_file.read(1 << 20):
                vault.write(piece)
        for data in small.values():
            vault.write(data)
        vault.close()
    return manifest


@contextlib.contextmanager
def _snapshot(directory: DataDirectory) -> Iterator[tuple[Path, dict[str, bytes]]]:
    """Give a copy of the database, and keys and settings as they were before and after it was made.

    A certificate that was renewed in between would be without the statement that it follows the one before.
    """
    for stale in directory.path.glob(f"{_COPY}*"):
        stale.unlink(missing_ok=True)
    copy = directory.path / f"{_COPY}{secrets.token_hex(4)}"
    try:
        for _ in range(_ATTEMPTS):
            small = _small_files(directory)
            _copy_database(directory.database_path, copy)
            if small == _small_files(directory):
                yield copy, small
                return
        raise GatelinkError("the keys change all the time: try again in a moment")
    finally:
        for leftover in directory.path.glob(f"{copy.name}*"):
            leftover.unlink(missing_ok=True)


def _small_files(directory: DataDirectory) -> dict[str, bytes]:
    optional = [name for name in OPTIONAL if (directory.path / name).exists()]
    return {name: (directory.path / name).read_bytes() for name in (*KEYS, *optional, CONFIG)}


def _copy_database(source: Path, target: Path) -> None:
    target.unlink(missing_ok=True)
    os.close(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
    try:
        with (
            contextlib.closing(sqlite3.connect(source, timeout=30)) as live,
            contextlib.closing(sqlite3.connect(target)) as copy,
        ):
            live.backup(copy)
    except sqlite3.Error as error:
        raise GatelinkError(f"the database cannot be copied: {error}") from None
    as_one_file(target)


def _file_info(name: str, path: Path) -> FileInfo:
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return FileInfo(name, path.stat().st_size, digest)

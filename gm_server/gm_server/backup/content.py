"""What is in a backup, and how it is checked: files of fixed names, nothing else.

u32 length | manifest (JSON) | the files' bytes, in the manifest's order
"""

from __future__ import annotations

import contextlib
import hashlib
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, BinaryIO, Final

import msgspec
from msgspec import Meta

from gatelink.exceptions import GatelinkError, InputError
from gatelink.identity import from_pem
from gm_server import config
from gm_server.certificates.bundle import parse_bundle
from gm_server.database.revisions import KNOWN

FORMAT: Final = "gatelink-gm/1"
DATABASE: Final = "gm.sqlite3"
CONFIG: Final = "config.toml"
KEYS: Final = ("appliance.pem", "device_ca.pem", "user_ca.pem", "web.pem")
OPTIONAL: Final = ("acme.json",)
NAMES: Final = (DATABASE, *KEYS, *OPTIONAL, CONFIG)
"""Every name that a file of a backup may have; ``config.toml`` makes a data directory complete, so it is last."""
MAX_MANIFEST_BYTES: Final = 64 * 1024
MAX_FILE_BYTES: Final = 1 << 40


class FileInfo(msgspec.Struct, frozen=True):
    """A file of the backup."""

    name: str
    size_bytes: Annotated[int, Meta(ge=0, le=MAX_FILE_BYTES)]
    sha256: str


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """What a backup says of itself."""

    format: str
    software: str
    gatemanager: str
    serial: str
    """Of the appliance certificate."""
    made_at: float
    revision: str
    firmware_bundles: int = 0
    """Whose records are in the backup, and whose files are not: they are large, and whoever signed them has them."""
    firmware_bytes: int = 0
    files: Annotated[tuple[FileInfo, ...], Meta(min_length=1, max_length=len(NAMES))]


class Reader:
    """Hands out the content of a decrypted stream in pieces of the wanted size."""

    def __init__(self, stream: Iterator[bytes]) -> None:
        self._stream = stream
        self._pending = b""

    def read(self, size_bytes: int) -> bytes:
        """Return up to so many bytes; nothing at the end."""
        if not self._pending:
            self._pending = next(self._stream, b"")
        piece, self._pending = self._pending[:size_bytes], self._pending[size_bytes:]
        return piece

    def read_exactly(self, size_bytes: int) -> bytes:
        """Return exactly so many bytes; raises InputError."""
        data = b""
        while len(data) < size_bytes:
            piece = self.read(size_bytes - len(data))
            if not piece:
                raise InputError("the backup ends too early")
            data += piece
        return data

    def check_end(self) -> None:
        """Raise InputError if something is left."""
        if self.read(1):
            raise InputError("the backup holds more than it says")


def read_manifest(reader: Reader) -> Manifest:
    """Return the manifest, checked; raises InputError."""
    length = int.from_bytes(reader.read_exactly(4), "big")
    if not 0 < length <= MAX_MANIFEST_BYTES:
        raise InputError("the backup's list of files is too long: it is not ours")
    try:
        manifest = msgspec.json.decode(reader.read_exactly(length), type=Manifest)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise InputError(f"the backup's list of files cannot be read: {error}") from None
    if manifest.format != FORMAT:
        raise InputError(f"expected a backup of the form {FORMAT}, got {manifest.format[:40]!r}")
    if manifest.revision not in KNOWN:
        raise InputError(
            f"the backup is of the database version {manifest.revision[:20]!r}, this program knows up to {KNOWN[-1]}: "
            "restore it with the newer GateManager"
        )
    names = [info.name for info in manifest.files]
    strange = [name for name in names if name not in NAMES]
    missing = [name for name in (DATABASE, *KEYS, CONFIG) if name not in names]
    if strange or missing or len(set(names)) < len(names):
        raise InputError(
            f"the backup holds other files than a GateManager has: {(strange or missing or names)[0][:60]!r}"
        )
    return manifest


def copy_file(reader: Reader, info: FileInfo, target: BinaryIO) -> None:
    """Write a file's bytes; raises InputError if they are not those of the manifest."""
    digest = hashlib.sha256()
    left_bytes = info.size_bytes
    while left_bytes:
        piece = reader.read(min(left_bytes, 1 << 20))
        if not piece:
            raise InputError("the backup ends too early")
        digest.update(piece)
        target.write(piece)
        left_bytes -= len(piece)
    if digest.hexdigest() != info.sha256:
        raise InputError(f"{info.name} in the backup is not what was saved")


def check_files(folder: Path) -> None:
    """Raise InputError unless the files in ``folder`` are those of a GateManager that would run."""
    try:
        for name in KEYS[:3]:
            from_pem((folder / name).read_bytes())
        parse_bundle((folder / "web.pem").read_bytes())
        config.load(folder / CONFIG)
    except GatelinkError as error:
        raise InputError(f"the backup cannot be used: {error}") from None
    check_database(folder / DATABASE)


def check_database(path: Path) -> None:
    """Raise InputError unless the database is whole, and made of tables and indexes alone: nothing in it acts."""
    try:
        with contextlib.closing(sqlite3.connect(path)) as connection:
            connection.execute("PRAGMA trusted_schema = OFF")
            kinds = {row[0] for row in connection.execute("SELECT type FROM sqlite_master")}
            problems = [row[0] for row in connection.execute("PRAGMA integrity_check(1)")]
            broken = connection.execute("PRAGMA foreign_key_check").fetchone()
            revision = connection.execute("SELECT version_num FROM alembic_version").fetchone()
    except sqlite3.Error as error:
        raise InputError(f"the backup's database cannot be read: {error}") from None
    if problems != ["ok"] or broken is not None or revision is None or revision[0] not in KNOWN:
        raise InputError(f"the backup's database is damaged: {problems[0] if problems else 'unreadable'}")
    if not kinds <= {"table", "index"}:
        raise InputError("the backup's database holds more than tables: it is not ours")


def as_one_file(path: Path) -> None:
    """Put everything of a database into its one file, without a log beside it; raises GatelinkError."""
    try:
        with contextlib.closing(sqlite3.connect(path)) as connection:
            connection.execute("PRAGMA journal_mode = DELETE").close()
    except sqlite3.Error as error:
        raise GatelinkError(f"the database cannot be written: {error}") from None

"""Where firmware bundles lie: ``firmware/`` beside the database, one file each, named by its id.

An upload is written beside under another name, synced, and renamed in the transaction that makes its record: a pulled
plug leaves a whole bundle or a leftover, which ``sweep`` takes away. Whoever calls does so off the event loop.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import secrets
import shutil
from collections.abc import Collection
from pathlib import Path
from typing import BinaryIO, Final

import msgspec

from gatelink.exceptions import GatelinkError, InputError
from gatelink.files import sync_directory
from gm_server.exceptions import Overloaded

from .bundle_manifest import BundleManifest, read_bundle

FOLDER: Final = "firmware"
MAX_BUNDLE_BYTES: Final = 1 << 30
"""A gateway's slot has 192 MiB. A security limit: the disk is everybody's."""
RESERVE_BYTES: Final = 256 << 20
"""What an upload leaves free on the disk, for the database."""
LEFTOVER_S: Final = 3600.0
"""An upload of which nothing came for so long is over."""
_ENDING: Final = ".raucb"
_PARTIAL: Final = ".upload-"


class Received(msgspec.Struct, frozen=True):
    """A whole bundle that has no record yet."""

    path: Path
    size_bytes: int
    sha256: bytes
    manifest: BundleManifest


class BundleFiles:
    """The bundles of one data directory."""

    def __init__(self, directory: Path) -> None:
        self.folder = directory / FOLDER

    def path(self, bundle_id: str) -> Path:
        """Return where a bundle lies, or would."""
        return self.folder / f"{bundle_id}{_ENDING}"

    def has(self, bundle_id: str, size_bytes: int) -> bool:
        """Whether a bundle's file is here, in its whole length."""
        try:
            return self.path(bundle_id).stat().st_size == size_bytes
        except OSError:
            return False

    def begin(self) -> Incoming:
        """Begin to receive a bundle; raises GatelinkError."""
        try:
            self.folder.mkdir(mode=0o700, exist_ok=True)
            return Incoming(self.folder / f"{_PARTIAL}{secrets.token_hex(8)}")
        except OSError as error:
            raise GatelinkError(f"the firmware cannot be kept: {error.strerror}: {self.folder}") from None

    def keep(self, received: Received, bundle_id: str) -> None:
        """Make a received bundle's file the one of this id."""
        received.path.rename(self.path(bundle_id))
        sync_directory(self.folder)

    def read(self, bundle_id: str, offset: int, size_bytes: int) -> bytes:
        """Return a piece of a bundle, nothing behind its end. Raises OSError."""
        descriptor = os.open(self.path(bundle_id), os.O_RDONLY | os.O_CLOEXEC)
        try:
            return os.pread(descriptor, size_bytes, offset)
        finally:
            os.close(descriptor)

    def remove(self, bundle_id: str) -> None:
        """Take a bundle's file away; nothing if there is none."""
        with contextlib.suppress(FileNotFoundError):
            self.path(bundle_id).unlink()

    def sweep(self, known: Collection[str], now: float) -> None:
        """Take away what interrupted uploads and removals left behind. ``now`` is Unix time."""
        if not self.folder.is_dir():
            return
        keep = {self.path(bundle_id).name for bundle_id in known}
        for entry in self.folder.iterdir():
            with contextlib.suppress(OSError):
                if entry.name not in keep and now - entry.stat().st_mtime > LEFTOVER_S:
                    entry.unlink()


class Incoming:
    """A bundle on its way in. Ends with ``finish`` or ``discard``."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._digest = hashlib.sha256()
        self._size_bytes = 0
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        self._file: BinaryIO = os.fdopen(descriptor, "w+b")

    def write(self, piece: bytes) -> None:
        """Take a piece; raises InputError if it becomes too long, Overloaded if the disk becomes too full."""
        self._size_bytes += len(piece)
        if self._size_bytes > MAX_BUNDLE_BYTES:
            raise InputError(f"a bundle can have {MAX_BUNDLE_BYTES >> 20} MiB")
        try:
            if shutil.disk_usage(self._path.parent).free - len(piece) < RESERVE_BYTES:
                raise Overloaded(f"the disk is too full for this bundle: {RESERVE_BYTES >> 20} MiB stay free")
            self._file.write(piece)
        except OSError as error:
            raise GatelinkError(f"the bundle cannot be written: {error.strerror}") from None
        self._digest.update(piece)

    def finish(self) -> Received:
        """Return the whole bundle, on the disk; raises InputError if it is none."""
        try:
            self._file.flush()
            os.fsync(self._file.fileno())
            self._file.seek(0)
            manifest = read_bundle(self._file, self._size_bytes)
        except OSError as error:
            raise GatelinkError(f"the bundle cannot be written: {error.strerror}") from None
        self._file.close()
        return Received(self._path, self._size_bytes, self._digest.digest(), manifest)

    def discard(self) -> None:
        """Leave nothing behind; nothing if it was kept."""
        self._file.close()
        self._path.unlink(missing_ok=True)

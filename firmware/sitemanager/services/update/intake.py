"""Takes a bundle from the set-up page, in pieces and in order; whoever stops sending makes room for the next."""

from __future__ import annotations

import asyncio
import os
import secrets
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO, Final

from gatelink.exceptions import InputError
from sitemanager.exceptions import StateError

PATIENCE_S: Final = 60.0
"""After the last piece an upload is given up for another one."""


class Intake:
    """One upload at a time. ``now`` is steady seconds."""

    def __init__(self, path: Path, now: Callable[[], float]) -> None:
        self._path = path
        self._now = now
        self._file: BinaryIO | None = None
        self._last_at = 0.0
        self._busy = False
        self.upload_id = ""
        self.size_bytes = 0
        self.offset = 0

    @property
    def is_open(self) -> bool:
        """Whether somebody sends."""
        return self._file is not None and self._now() - self._last_at < PATIENCE_S

    def begin(self, size_bytes: int) -> str:
        """Begin anew; the upload's id. Raises StateError."""
        self.close()
        try:
            self._path.unlink(missing_ok=True)
            self._file = self._path.open("xb")
        except OSError as error:
            raise StateError(f"the update cannot be written to {self._path}: {error.strerror}") from None
        self.upload_id, self.size_bytes, self.offset = secrets.token_hex(8), size_bytes, 0
        self._last_at = self._now()
        return self.upload_id

    async def take(self, upload_id: str, offset: int, data: bytes) -> bool:
        """Write a piece; whether it was the last one. Raises InputError, StateError."""
        file = self._file
        if file is None or upload_id != self.upload_id:
            raise InputError("this upload was given up; begin it again")
        if self._busy or offset != self.offset or offset + len(data) > self.size_bytes or not data:
            raise InputError("the pieces of the upload are out of order; begin it again")
        self._busy = True
        try:
            await asyncio.to_thread(file.write, data)
            self.offset += len(data)
            self._last_at = self._now()
            if self.offset < self.size_bytes:
                return False
            await asyncio.to_thread(_complete, file)
        except OSError as error:
            self.close()
            raise StateError(f"the update cannot be written to {self._path}: {error.strerror}") from None
        finally:
            self._busy = False
        self.close()
        return True

    def close(self) -> None:
        """Let go of it; what was sent stays until the next one begins."""
        file, self._file, self.upload_id = self._file, None, ""
        if file is not None:
            file.close()


def _complete(file: BinaryIO) -> None:
    file.flush()
    os.fsync(file.fileno())

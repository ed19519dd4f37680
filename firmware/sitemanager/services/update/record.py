"""The update that is under way, or the last one, in a file that survives a pulled plug."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import msgspec

from gatelink.files import write_atomically
from sitemanager.core.updates import Update
from sitemanager.exceptions import StateError

FILE_NAME: Final = "update.json"
_MAX_BYTES: Final = 64 * 1024


class Record:
    """``update`` is None while there never was one."""

    def __init__(self, directory: Path) -> None:
        self._path = directory / FILE_NAME
        self.update = self._read()

    def keep(self, update: Update) -> None:
        """Remember it. Raises StateError; what is in memory is then the new one all the same."""
        before, self.update = self.update, update
        if before is not None and msgspec.structs.replace(before, percent=update.percent) == update:
            return
        try:
            write_atomically(self._path, msgspec.json.encode(update))
        except OSError as error:
            raise StateError(f"the state of the update cannot be kept in {self._path}: {error.strerror}") from None

    def _read(self) -> Update | None:
        """A damaged file is none: the update is then asked for again, and nothing else is lost."""
        try:
            with self._path.open("rb") as file:
                return msgspec.json.decode(file.read(_MAX_BYTES), type=Update)
        except (OSError, msgspec.DecodeError):
            return None

"""The owner's lock of remote access: a file in the state directory, kept over restarts, closed in doubt.

``allowed`` is the only content that allows. Another content, a file that cannot be read, and on an enrolled unit no
file at all mean locked: an enrolment writes the first one.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from gatelink.files import write_atomically
from sitemanager.exceptions import StateError

FILE_NAME: Final = "remote-access"
_ALLOWED: Final = b"allowed\n"
_LOCKED: Final = b"locked\n"


class RemoteAccessLock:
    """The lock of one unit."""

    def __init__(self, state: Path) -> None:
        self._path = state / FILE_NAME

    def reason(self) -> str | None:
        """Return why remote access is locked; None if it is allowed. Never raises."""
        try:
            with self._path.open("rb") as file:
                content = file.read(len(_ALLOWED) + 1)
        except FileNotFoundError:
            return f"there is no {self._path}; sm unlock makes it"
        except OSError as error:
            return f"cannot read {self._path}: {error.strerror}"
        if content == _ALLOWED:
            return None
        if content == _LOCKED:
            return "locked by its owner"
        return f"{self._path} is damaged; sm unlock makes it anew"

    def set(self, *, locked: bool) -> None:
        """Lock or unlock. Raises StateError."""
        try:
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            write_atomically(self._path, _LOCKED if locked else _ALLOWED)
        except OSError as error:
            raise StateError(f"cannot write {self._path}: {error.strerror}") from None

    def allow_if_new(self) -> None:
        """Allow remote access on a unit where nobody ever said anything. Raises StateError."""
        if not self._path.exists():
            self.set(locked=False)

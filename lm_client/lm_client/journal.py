"""``agent.log``, ``service.log``: one line an event, no secrets, bounded (one file of 1 MiB and the one before)."""

from __future__ import annotations

import contextlib
import os
import time
from pathlib import Path
from typing import Final, TextIO

MAX_BYTES: Final = 1024 * 1024
_MAX_LINE_CHARACTERS: Final = 1000
_CLOSE_ON_EXEC: Final = getattr(os, "O_CLOEXEC", 0)


class Journal:
    """Open until ``close``; every line is in the file when ``note`` returns."""

    def __init__(self, path: Path, echo: TextIO | None = None) -> None:
        self._path = path
        self._echo = echo
        self._descriptor = self._open()

    def note(self, text: str) -> None:
        """Write one line; what others said (names, reasons) cannot begin a second one."""
        printable = "".join(letter if letter.isprintable() else " " for letter in text[:_MAX_LINE_CHARACTERS])
        line = f"{time.strftime('%Y-%m-%dT%H:%M:%SZ', time.gmtime())} {printable}\n"
        with contextlib.suppress(OSError):  # a full disk must not end a session
            os.write(self._descriptor, line.encode())
            if os.fstat(self._descriptor).st_size > MAX_BYTES:
                # Closed first: Windows renames no open file.
                os.close(self._descriptor)
                try:
                    self._path.replace(self._path.with_name(f"{self._path.name}.1"))
                finally:
                    self._descriptor = self._open()
        if self._echo is not None:
            self._echo.write(line)
            self._echo.flush()

    def close(self) -> None:
        """Close the file."""
        os.close(self._descriptor)

    def _open(self) -> int:
        return os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | _CLOSE_ON_EXEC, 0o600)

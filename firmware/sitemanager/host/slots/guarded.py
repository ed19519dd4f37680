"""The slots of the firmware image: facts that the guard writes, and a file by which it is asked (firmware/guard)."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Final

from gatelink.files import write_atomically
from sitemanager.core.refusals import plain
from sitemanager.core.updates import MIB, Installation, System
from sitemanager.exceptions import StateError

RUN: Final = Path("/run/gatelink")
DIRECTORY: Final = Path("/data/update")
REQUEST: Final = "guard-request"
"""In the daemon's runtime directory; one line, removed by the guard when it acts."""
SPARE_BYTES: Final = 8 * MIB
"""Stays free on the data partition, for everything else that is written there."""
_MAX_BYTES: Final = 16 * 1024


class GuardedSlots:
    """``runtime`` is the daemon's directory in memory, ``run`` the image's own, ``directory`` where bundles lie."""

    def __init__(self, runtime: Path, run: Path = RUN, directory: Path = DIRECTORY) -> None:
        self._request = runtime / REQUEST
        self._run = run
        self._directory = directory

    @property
    def incoming(self) -> Path:
        """A bundle that is not complete yet."""
        return self._directory / "incoming"

    @property
    def bundle(self) -> Path:
        """A complete bundle."""
        return self._directory / "bundle.raucb"

    def system(self) -> System | None:
        """Return what runs; None where there are no slots, or the guard has not said it yet."""
        rows = dict(row.split("=", 1) for row in _text(self._run / "firmware").splitlines() if "=" in row)
        if not rows.get("slot"):
            return None
        return System(
            slot=rows["slot"][:16],
            version=rows.get("version", "")[:64],
            trial="trial" in rows,
            board=rows.get("board", "")[:64],
            fell_back=rows.get("fell_back", "")[:200],
        )

    def installation(self) -> Installation:
        """Return what became of the last installation."""
        update_id, _, said = _text(self._run / "update").strip().partition(" ")
        state, _, reason = said.partition(": ")
        match state:
            case "installing":
                steps = re.findall(r"^\s*(\d{1,3})% ", _text(self._run / "progress"), re.MULTILINE)
                return Installation(update_id, "installing", min(100, int(steps[-1])) if steps else 0)
            case "installed":
                return Installation(update_id, "installed", 100)
            case "refused":
                return Installation(update_id, "refused", reason=plain(reason))
            case _:
                return Installation()

    def install(self, update_id: str, *, allow_older: bool) -> None:
        """Ask for the installation of ``bundle``; returns at once."""
        self._ask(f"install {update_id}{' allow-older' if allow_older else ''}")

    def restart(self) -> None:
        """Ask for a restart of the unit; returns at once."""
        self._ask("restart")

    def free_bytes(self) -> int:
        """Return how much room there is for a bundle."""
        try:
            found = os.statvfs(self._directory)
        except OSError as error:
            raise StateError(f"the place of updates {self._directory} cannot be used: {error.strerror}") from None
        return max(0, found.f_bavail * found.f_frsize - SPARE_BYTES)

    def _ask(self, text: str) -> None:
        try:
            write_atomically(self._request, f"{text}\n".encode())
        except OSError as error:
            raise StateError(f"the guard cannot be asked by {self._request}: {error.strerror}") from None


def _text(path: Path) -> str:
    """The end of a small file; nothing if it cannot be read."""
    try:
        with path.open("rb") as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - _MAX_BYTES))
            return file.read(_MAX_BYTES).decode(errors="replace")
    except OSError:
        return ""

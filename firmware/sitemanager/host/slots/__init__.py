"""The two system slots of the firmware image, through the guard: the daemon has no right to write one, or to restart.

``guarded`` is the real one, ``fake`` is for tests of what is above. The way of a bundle: it is written to ``incoming``,
renamed to ``bundle``, and the guard is asked to install it; RAUC checks the signature before it writes anything.
"""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

from sitemanager.core.updates import Installation, System


class Slots(Protocol):
    """What a system that is updated as a whole can do. Methods raise StateError with one line that says what to do."""

    @property
    def incoming(self) -> Path:
        """A bundle that is not complete yet."""

    @property
    def bundle(self) -> Path:
        """A complete bundle."""

    def system(self) -> System | None:
        """Return what runs; None where there are no slots, or the guard has not said it yet."""

    def installation(self) -> Installation:
        """Return what became of the last installation."""

    def install(self, update_id: str, *, allow_older: bool) -> None:
        """Ask for the installation of ``bundle``; returns at once."""

    def restart(self) -> None:
        """Ask for a restart of the unit; returns at once."""

    def free_bytes(self) -> int:
        """Return how much room there is for a bundle."""

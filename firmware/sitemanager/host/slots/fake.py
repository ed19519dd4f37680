"""Slots in memory and a temporary directory, for tests: what is installed is what the test says."""

from __future__ import annotations

from pathlib import Path

import msgspec

from sitemanager.core.updates import Installation, System


class FakeSlots:
    """``asked`` are the requests to the guard, in order. The test sets ``found`` and ``result``."""

    def __init__(self, directory: Path, found: System | None = None) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self._directory = directory
        self.found = found
        self.result = Installation()
        self.asked: list[str] = []
        self.installed: list[bytes] = []
        """The bundles that were handed over."""
        self.room_bytes = 1 << 30

    @property
    def incoming(self) -> Path:
        """A bundle that is not complete yet."""
        return self._directory / "incoming"

    @property
    def bundle(self) -> Path:
        """A complete bundle."""
        return self._directory / "bundle"

    def system(self) -> System | None:
        """Return what runs."""
        return self.found

    def installation(self) -> Installation:
        """Return what became of the last installation."""
        return self.result

    def install(self, update_id: str, *, allow_older: bool) -> None:
        """Note it."""
        self.asked.append(f"install{' allow-older' if allow_older else ''}")
        self.installed.append(self.bundle.read_bytes())
        self.result = Installation(update_id, "installing", 40)

    def restart(self) -> None:
        """Note it."""
        self.asked.append("restart")

    def free_bytes(self) -> int:
        """Return how much room there is."""
        return self.room_bytes

    # What the test lets happen

    def finish(self, reason: str = "") -> None:
        """End the installation: installed, or refused for a reason."""
        state = msgspec.structs.replace(self.result, state="refused" if reason else "installed", reason=reason)
        self.result = state

    def boot(self, system: System) -> None:
        """The unit starts anew: what was in memory is gone."""
        self.found, self.result = system, Installation()

"""LEDs of /sys/class/leds."""

from __future__ import annotations

from pathlib import Path
from typing import Final

LEDS: Final = Path("/sys/class/leds")


class Led:
    """See ``OutputLine``."""

    def __init__(self, name: str, leds: Path = LEDS) -> None:
        self._directory = leds / name
        (self._directory / "trigger").write_text("none")

    def set(self, *, on: bool) -> None:
        """Switch it."""
        (self._directory / "brightness").write_text("1" if on else "0")

    def close(self) -> None:
        """Switch it off."""
        self.set(on=False)

"""Digital inputs and outputs of the unit: lines of GPIO chips, and LEDs.

``lines`` is the real one, by libgpiod; ``leds`` writes /sys/class/leds; ``fake`` is for tests of what is above.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol


class InputLine(Protocol):
    """A contact. Every method may raise OSError: the chip is gone."""

    def is_closed(self) -> bool:
        """Return whether the contact is closed now."""

    def fileno(self) -> int:
        """Return the descriptor that gets readable with a change."""

    def drain(self) -> None:
        """Take the changes that were told."""

    def close(self) -> None:
        """Let it go."""


class OutputLine(Protocol):
    """A relay or a LED. Every method may raise OSError."""

    def set(self, *, on: bool) -> None:
        """Switch it."""

    def close(self) -> None:
        """Let it go; a relay falls back to off."""


OpenInput = Callable[[str, int, bool, int], InputLine]
"""Chip, line, whether low is closed, debounce in ms. Raises OSError."""
OpenOutput = Callable[[str, int, bool], OutputLine]
"""Chip, line, whether low is on. Raises OSError."""
OpenLed = Callable[[str], OutputLine]
"""Name. Raises OSError."""

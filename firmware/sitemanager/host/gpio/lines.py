"""Lines of GPIO chips by libgpiod 2 (the character device's second interface, Linux 5.10)."""

from __future__ import annotations

import datetime
from typing import Any, Final

_CONSUMER: Final = "gatelink"


class GpioInput:
    """See ``InputLine``. A contact to ground has a pull-up, one to the supply a pull-down: an open wire reads open."""

    def __init__(self, chip: str, line: int, closed_is_low: bool, debounce_ms: int) -> None:
        gpiod = _gpiod()
        settings = gpiod.LineSettings(
            direction=gpiod.line.Direction.INPUT,
            edge_detection=gpiod.line.Edge.BOTH,
            bias=gpiod.line.Bias.PULL_UP if closed_is_low else gpiod.line.Bias.PULL_DOWN,
            active_low=closed_is_low,
            debounce_period=datetime.timedelta(milliseconds=debounce_ms),
        )
        self._active = gpiod.line.Value.ACTIVE
        self._line = line
        self._request = gpiod.request_lines(chip, consumer=_CONSUMER, config={line: settings})

    def is_closed(self) -> bool:
        """Return whether the contact is closed now."""
        return bool(self._request.get_value(self._line) == self._active)

    def fileno(self) -> int:
        """Return the descriptor that gets readable with a change."""
        return int(self._request.fd)

    def drain(self) -> None:
        """Take the changes that were told."""
        self._request.read_edge_events()

    def close(self) -> None:
        """Let it go."""
        self._request.release()


class GpioOutput:
    """See ``OutputLine``."""

    def __init__(self, chip: str, line: int, on_is_low: bool) -> None:
        gpiod = _gpiod()
        settings = gpiod.LineSettings(
            direction=gpiod.line.Direction.OUTPUT, active_low=on_is_low, output_value=gpiod.line.Value.INACTIVE
        )
        self._values = {False: gpiod.line.Value.INACTIVE, True: gpiod.line.Value.ACTIVE}
        self._line = line
        self._request = gpiod.request_lines(chip, consumer=_CONSUMER, config={line: settings})

    def set(self, *, on: bool) -> None:
        """Switch it."""
        self._request.set_value(self._line, self._values[on])

    def close(self) -> None:
        """Switch it off and let it go."""
        self.set(on=False)
        self._request.release()


def _gpiod() -> Any:
    try:
        import gpiod
    except ImportError:
        raise OSError("Python's gpiod is missing; install it (pip install gpiod)") from None
    return gpiod

"""Moments as people write them on the command line."""

from __future__ import annotations

import datetime
import re
import time
from typing import Final

import click

_UNITS_S: Final = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 7 * 86400}
_FORMATS: Final = ("%Y-%m-%d %H:%M", "%Y-%m-%dT%H:%M", "%Y-%m-%d %H:%M:%S", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%d")


class MomentType(click.ParamType[float]):
    """``2026-03-01 08:00`` in the machine's time zone, or ``+8h`` from now. The value is Unix time."""

    name = "TIME"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Return Unix time; fails with what was expected."""
        text = str(value).strip()
        if match := re.fullmatch(r"\+(\d{1,6})([smhdw])", text):
            return time.time() + int(match[1]) * _UNITS_S[match[2]]
        for form in _FORMATS:
            try:
                return datetime.datetime.strptime(text, form).astimezone().timestamp()
            except (ValueError, OverflowError):
                continue
        return self.fail(
            f"expected a time like '2026-03-01 08:00', or +8h, +30m, +7d from now, got {text[:40]!r}", param, ctx
        )

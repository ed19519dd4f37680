"""How a serial line is set, as people write it: ``19200,8,E,1`` (baud, data bits, parity, stop bits). No I/O.

An administrator writes it at the GateManager, the SiteManager sets its port so, and the LinkManager's pty follows it
where Linux lets no application say it (bits and parity).
"""

from __future__ import annotations

import re
from typing import Final

import msgspec

from .exceptions import InputError
from .messages import LineSettings

_WRITTEN: Final = re.compile(r"\s*(\d{2,7})[ ,]\s*([5-8])\s*,?\s*([NEOneo])\s*,?\s*([12])\s*", re.ASCII)


def parse_line(text: str) -> LineSettings:
    """Return what ``19200,8,E,1`` or ``19200 8E1`` says; raises InputError."""
    found = _WRITTEN.fullmatch(text)
    words = (int(found[1]), int(found[2]), found[3].upper(), int(found[4])) if found else ()
    try:
        return msgspec.convert(dict(zip(LineSettings.__struct_fields__, words, strict=False)), LineSettings)
    except msgspec.ValidationError:
        raise InputError(
            f"the settings of a serial line are baud, data bits, parity and stop bits, like 19200,8,E,1; got {text!r}"
        ) from None


def line_text(settings: LineSettings) -> str:
    """Return settings as they are kept: ``19200,8,E,1``."""
    return f"{settings.baud},{settings.data_bits},{settings.parity},{settings.stop_bits}"

"""What a page says after something was done: the address carries a key of these, never a text."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

DONE: Final[Mapping[str, str]] = {
    "saved": "Saved.",
}

"""Addresses that are given as parameters: only those of this portal. No I/O."""

from __future__ import annotations

from typing import Final
from urllib.parse import urlsplit

MAX_CHARACTERS: Final = 2048


def own_path(text: str, otherwise: str = "/") -> str:
    """Return a path of this portal as it was given, ``otherwise`` for anything else: nobody is led elsewhere.

    Browsers read ``\\`` as ``/`` and drop control characters and spaces at the front: whatever has them is no path.
    """
    plain = text.isascii() and text.isprintable() and " " not in text and "\\" not in text
    if not plain or len(text) > MAX_CHARACTERS or not text.startswith("/") or text.startswith("//"):
        return otherwise
    try:
        parts = urlsplit(text)
    except ValueError:
        return otherwise
    return text if not parts.scheme and not parts.netloc else otherwise

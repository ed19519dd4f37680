"""Telephone numbers. No I/O."""

from __future__ import annotations

from typing import Final

from gatelink.exceptions import InputError

_SEPARATORS: Final = str.maketrans("", "", " -./()\u00a0")


def check_phone(text: str) -> str:
    """Return a number in its international form, ``+`` and digits (ITU-T E.164); raises InputError."""
    bare = text.strip().translate(_SEPARATORS)
    if bare.startswith("00"):
        bare = "+" + bare[2:]
    digits = bare.removeprefix("+")
    if not bare.startswith("+") or not digits.isascii() or not digits.isdigit() or not 7 <= len(digits) <= 15:
        raise InputError(f"expected a telephone number with its country, like +49 151 23456789, got {text[:30]!r}")
    if digits.startswith("0"):
        raise InputError(f"no country's number begins with 0: expected one like +49 151 23456789, got {text[:30]!r}")
    return bare

"""The one error of this program."""

from __future__ import annotations


class ImageError(Exception):
    """Something is missing or wrong: what was seen, what was expected, what to do."""

"""Lines for people and for the journal: one line an event, nothing secret, nothing that a stranger could forge.

Names and reasons come from elsewhere: whatever is not printable in them is escaped, so that one event stays one line.
"""

from __future__ import annotations

import sys

MAX_CHARACTERS = 2000


def report(text: str) -> None:
    """Write one line to standard error."""
    sys.stderr.write(f"sm: {printable(text)}\n")
    sys.stderr.flush()


def printable(text: str) -> str:
    """Return the text with everything unprintable escaped, cut to ``MAX_CHARACTERS``."""
    shown = text[:MAX_CHARACTERS]
    if shown.isprintable():
        return shown
    return "".join(letter if letter.isprintable() else ascii(letter)[1:-1] for letter in shown)

"""Recovery codes: each replaces a second factor once. No I/O.

80 random bits each: nothing to guess, so that a plain SHA-256 of it can be kept.
"""

from __future__ import annotations

import base64
import hashlib
from typing import Final

COUNT: Final = 10
SECRET_BYTES: Final = 10


def code_text(secret: bytes) -> str:
    """Return a code as people write it down: 16 letters and digits in groups of four."""
    text = base64.b32encode(secret).decode().lower()
    return "-".join(text[start : start + 4] for start in range(0, len(text), 4))


def code_sha256(code: str) -> bytes:
    """Return what is kept of a code, however it was typed: hyphens, spaces and case do not matter."""
    bare = "".join(character for character in code if character.isalnum()).lower()
    # What base32 does not have, and people misread.
    return hashlib.sha256(bare.translate(str.maketrans("018", "olb")).encode()).digest()

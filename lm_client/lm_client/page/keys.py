"""How the owner gets in: a word that is good once and for a minute becomes the cookie of this run of the page.

``lm ui`` makes the word from the key in ``page.json``, which only the owner can read. It is on a command line of the
browser for a moment; that is why it is good once.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from typing import Final

WORD_LIFETIME_S: Final = 60.0
_MAX_WORD_CHARACTERS: Final = 200


def make_word(key: bytes, now: float) -> str:
    """Return a word that opens the page whose key this is. ``now`` is Unix time."""
    body = f"{int(now + WORD_LIFETIME_S)}.{secrets.token_urlsafe(18)}"
    return f"{body}.{_sign(key, body)}"


class Door:
    """The page's side. ``cookie`` is what opens everything after the word."""

    def __init__(self, key: bytes) -> None:
        self._key = key
        self._used: dict[str, float] = {}
        self.cookie = secrets.token_urlsafe(32)

    def opens(self, word: str, now: float) -> bool:
        """Whether a word is good, now and for this one time."""
        body, _, signature = word[:_MAX_WORD_CHARACTERS].rpartition(".")
        until, _, _ = body.partition(".")
        if not hmac.compare_digest(signature.encode(), _sign(self._key, body).encode()):
            return False
        self._used = {one: until for one, until in self._used.items() if until > now}
        if float(until) <= now or body in self._used:
            return False
        self._used[body] = float(until)
        return True

    def knows(self, cookie: str) -> bool:
        """Whether this is the cookie."""
        return hmac.compare_digest(cookie.encode(), self.cookie.encode())


def _sign(key: bytes, body: str) -> str:
    return hmac.new(key, b"lm page " + body.encode(), hashlib.sha256).hexdigest()

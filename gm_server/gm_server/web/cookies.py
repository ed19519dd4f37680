"""The cookies that there are. ``__Host-`` binds each to this host and to HTTPS; no script reads them.

__Host-gatelink         32 random bytes of a browser that is signed in (``visitors``)
__Host-gatelink-login   32 random bytes of a login that is under way; others after each step
__Host-gatelink-known   by which a browser is known again at its next login (``Logins.device_word``)
"""

from __future__ import annotations

import base64
import binascii
from typing import Final

from starlette.requests import Request
from starlette.responses import Response

LOGIN: Final = "__Host-gatelink-login"
KNOWN: Final = "__Host-gatelink-known"
_MAX_CHARACTERS: Final = 256


def put(response: Response, name: str, value: bytes, max_age_s: float | None = None) -> None:
    """Set a cookie; without ``max_age_s`` until the browser is closed."""
    response.set_cookie(
        name,
        base64.urlsafe_b64encode(value).rstrip(b"=").decode(),
        max_age=None if max_age_s is None else int(max_age_s),
        path="/",
        secure=True,
        httponly=True,
        samesite="lax",
    )


def take_away(response: Response, name: str) -> None:
    """Let the browser forget a cookie."""
    response.delete_cookie(name, path="/", secure=True, httponly=True, samesite="lax")


def read(request: Request, name: str) -> bytes:
    """Return a cookie; empty if there is none that could be ours."""
    text = request.cookies.get(name, "")[:_MAX_CHARACTERS]
    try:
        return base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        return b""

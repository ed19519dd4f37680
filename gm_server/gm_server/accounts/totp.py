"""Codes of authenticator apps: TOTP (RFC 6238) with SHA-1, six digits, 30 s, as every app understands it. No I/O.

Twenty lines with ``hmac`` are less than a dependency; the vectors of the RFC are in the tests.
"""

from __future__ import annotations

import base64
import hmac
from typing import Final
from urllib.parse import quote, urlencode

DIGITS: Final = 6
STEP_S: Final = 30
SECRET_BYTES: Final = 20
"""RFC 4226 section 4, R6."""
_TOLERATED_STEPS: Final = 1
"""Before and after: clocks of phones (RFC 6238 section 5.2)."""


def code_of_step(secret: bytes, step: int) -> str:
    """Return the code of a time step (RFC 4226 section 5.3)."""
    digest = hmac.digest(secret, step.to_bytes(8, "big"), "sha1")
    start = digest[-1] & 0x0F
    number = int.from_bytes(digest[start : start + 4], "big") & 0x7FFFFFFF
    return f"{number % 10**DIGITS:0{DIGITS}d}"


def matching_step(secret: bytes, code: str, now: float, last_step: int) -> int | None:
    """Return the time step whose code this is, if it is later than ``last_step``: no code counts twice."""
    present = int(now // STEP_S)
    found = None
    for step in range(max(0, present - _TOLERATED_STEPS), present + _TOLERATED_STEPS + 1):
        is_it = hmac.compare_digest(code_of_step(secret, step).encode(), code.encode())
        if is_it and step > last_step and found is None:
            found = step
    return found


def secret_text(secret: bytes) -> str:
    """Return the secret as people type it into an app: base32 in groups of four."""
    text = base64.b32encode(secret).decode().rstrip("=")
    return " ".join(text[start : start + 4] for start in range(0, len(text), 4))


def enrolment_uri(secret: bytes, issuer: str, user: str) -> str:
    """Return what the QR code holds (the apps' ``otpauth`` form)."""
    parameters = {"secret": base64.b32encode(secret).decode().rstrip("="), "issuer": issuer}
    return f"otpauth://totp/{quote(issuer)}:{quote(user)}?{urlencode(parameters, quote_via=quote)}"

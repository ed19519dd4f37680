"""The ids that the GateManager gives. They name things and are no secrets."""

from __future__ import annotations

import secrets
from typing import Literal

IdKind = Literal[
    "alm",
    "bnd",
    "clm",
    "crt",
    "dev",
    "dom",
    "fac",
    "grp",
    "grt",
    "msg",
    "pky",
    "rec",
    "req",
    "rly",
    "rol",
    "rou",
    "ses",
    "sm",
    "svc",
    "tok",
    "usr",
    "wai",
    "web",
]


def new_id(kind: IdKind) -> str:
    """Return a fresh id: its kind and 64 random bits."""
    return f"{kind}-{secrets.token_hex(8)}"

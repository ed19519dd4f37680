"""Which no of the GateManager is final, by its code. No I/O.

A code that is not known here is final: the session or login ends, and its user reads why.
"""

from __future__ import annotations

from typing import Final

_LOGIN_LATER: Final = frozenset({"busy", "timeout", "try-later", "replaced"})
_CONNECT_LATER: Final = frozenset({"busy", "failed", "offline", "timeout", "too-many"})
_LINE_BROKE: Final = frozenset(
    {
        "appliance-restarted",
        "ended-by-appliance",
        "failed",
        "gm-stopped",
        "join-failed",
        "leg-lost",
        "link",
        "offline",
        "relay",
        "resumed",
        "rights-changed",
        "timeout",
        "too-many-sessions",
    }
)


_ONLY_SEEN_FROM_OUTSIDE: Final = frozenset({"leg-lost", "link", "relay"})


def is_final_login(code: str) -> bool:
    """Whether a refused login makes further attempts useless."""
    return code not in _LOGIN_LATER


def is_final_connect(code: str) -> bool:
    """Whether a refused resumption makes further attempts useless."""
    return code not in _CONNECT_LATER


def is_final_end(code: str) -> bool:
    """Whether an ended session must not be resumed: it was about the right, not about the line."""
    return code not in _LINE_BROKE


def is_seen_from_outside(code: str) -> bool:
    """Whether the GateManager only saw a line break: who stood at its end knows better why."""
    return code in _ONLY_SEEN_FROM_OUTSIDE

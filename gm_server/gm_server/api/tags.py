"""Entity tags: which version of what can be changed somebody has read.

What changes by itself (when somebody was seen last, whether he is online) is not part of it: nobody's change is lost by
that.
"""

from __future__ import annotations

import hashlib
from typing import Any, Final

import msgspec

_BY_ITSELF: Final = frozenset(
    {
        "allowed",
        "appliances",
        "checked_at",
        "check_text",
        "connection",
        "devices",
        "devices_reachable",
        "devices_unreachable",
        "enrolled_at",
        "firmware",
        "hardware",
        "last_address",
        "last_login_at",
        "last_port",
        "last_seen_at",
        "last_used_at",
        "members",
        "online",
        "reachable",
        "software",
        "status",
        "status_at",
        "users",
    }
)


def tag_of(view: Any) -> str:
    """Return the entity tag of a view."""
    fields = msgspec.structs.asdict(view)
    kept = {name: value for name, value in fields.items() if name not in _BY_ITSELF}
    return '"' + hashlib.sha256(msgspec.json.encode(kept, order="sorted")).hexdigest()[:32] + '"'

"""Why RAUC did not take a bundle, in words for who stands at the machine; RAUC's own follow, for who builds bundles."""

from __future__ import annotations

import re
from typing import Final

_WORDS: Final = (
    (r"is older than", ""),
    (r"[Cc]ompatible mismatch|[Ee]xpected '.*' but bundle manifest has", "this update is for another kind of gateway"),
    (
        r"signature verification failed|certificate verify error|self.signed certificate|unable to get local issuer",
        "this update is not signed by whom this gateway trusts",
    ),
    (
        r"[Ii]nvalid bundle format|[Ss]ignature size|[Ii]nvalid bundle identifier|[Nn]ot a.*bundle|squashfs|too short|"
        r"[Ff]ailed to parse|[Ff]ailed to check bundle",
        "this file is no complete update: it is damaged, cut off, or not an update at all",
    ),
    (r"verity|[Ii]nput/output error|hash mismatch", "this update was changed or damaged after it was signed"),
    (r"[Nn]o space left", "there is no room on the data partition"),
)
MAX_RAUC: Final = 240


def plain(reason: str) -> str:
    """Return a refusal for people: what it means, and RAUC's words in brackets where they say more."""
    words = " ".join(reason.split())
    for pattern, meaning in _WORDS:
        if re.search(pattern, words):
            return f"{meaning} ({words[:MAX_RAUC]})" if meaning else words[:MAX_RAUC]
    return words[:MAX_RAUC] or "RAUC gave no reason"

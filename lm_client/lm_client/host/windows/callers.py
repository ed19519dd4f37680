"""Who may use the service on Windows, by SID: whoever is signed in at this PC, or the chosen ones alone.

The pipe's access list admits nobody else in the first place (``streams.pipe.FOR_EVERYBODY``).
"""

from __future__ import annotations

from collections.abc import Collection

from lm_client.streams import Caller

from .security import SYSTEM


class WindowsCallers:
    """``sids`` are the chosen ones; none: everybody who is signed in."""

    def __init__(self, sids: Collection[str] = ()) -> None:
        self._sids = frozenset(sids)

    def may(self, caller: Caller) -> bool:
        """Whether this user may have tunnels."""
        return not self._sids or caller == SYSTEM or caller in self._sids

    def advice(self, caller: Caller) -> str:
        """Return what is to be done for a user who may not."""
        return f"user {caller} may not have tunnels: use lm service --allow-sid"

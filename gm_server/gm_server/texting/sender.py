"""Sends text messages by the first provider that takes them."""

from __future__ import annotations

from collections.abc import Callable

from gatelink.exceptions import GatelinkError
from gm_server.database.store import Store


class TextMessages:
    """``clock`` is Unix time."""

    def __init__(self, store: Store, clock: Callable[[], float]) -> None:
        self._store = store
        self._clock = clock

    async def send(self, recipient: str, text: str, valid_s: float, /) -> None:
        """Return when a provider has taken the message; raises GatelinkError if none does."""
        raise GatelinkError("no provider for text messages is set up")

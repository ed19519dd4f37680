"""The control connection as the daemon's parts see it: say something, hear of something, wherever the link is just now.

line.on(Scan, self._scan)            # what the GateManager says, by its type; one part for each
line.on_connected(self._tell_all)    # after every login
line.tell(ScanResult(...))           # False while there is no connection
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from gatelink.messages import GmToAppliance, Message, Welcome

M = TypeVar("M", bound=Message)


class GmLine:
    """There from the daemon's start; ``services.control`` connects it when the unit is enrolled."""

    def __init__(self) -> None:
        self._handlers: dict[type[Any], Callable[[Any], None]] = {}
        self._connected: list[Callable[[Welcome], None]] = []
        self._send: Callable[[Message], bool] | None = None
        self._reconnect: Callable[[str], None] | None = None

    def on(self, kind: type[M], handler: Callable[[M], None]) -> None:
        """Hear messages of this type."""
        if kind in self._handlers:
            raise ValueError(f"two parts want to hear {kind.__name__}")
        self._handlers[kind] = handler

    def on_connected(self, listener: Callable[[Welcome], None]) -> None:
        """Hear of every login."""
        self._connected.append(listener)

    def tell(self, message: Message) -> bool:
        """Send a message; False if there is no connection: whoever needs it to arrive keeps it."""
        return self._send is not None and self._send(message)

    def reconnect(self, reason: str) -> None:
        """Connect anew, by the ways as they are now; running sessions go on."""
        if self._reconnect is not None:
            self._reconnect(reason)

    def attach(self, send: Callable[[Message], bool], reconnect: Callable[[str], None]) -> None:
        """Use this connection from now on."""
        self._send, self._reconnect = send, reconnect

    def connected(self, welcome: Welcome) -> None:
        """Tell the listeners."""
        for listener in self._connected:
            listener(welcome)

    def received(self, message: GmToAppliance) -> bool:
        """Hand a message to its part; False if nobody wants it."""
        handler = self._handlers.get(type(message))
        if handler is None:
            return False
        handler(message)
        return True

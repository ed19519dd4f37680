"""A connection whose TLS is up, on its way to the service that its protocol names."""

from __future__ import annotations

import ssl
from collections.abc import Awaitable, Callable
from typing import Protocol

from gatelink.identity import Identity


class Visitor:
    """Who came, and how; ``admitted`` gives back the stranger's place once it is no stranger any more."""

    __slots__ = ("_release", "address", "identity", "tls")

    def __init__(self, tls: ssl.SSLSocket, address: str, identity: Identity, release: Callable[[], None]) -> None:
        self.tls = tls
        self.address = address
        self.identity = identity
        """The certificate that we showed."""
        self._release = release

    def admitted(self) -> None:
        """It is logged in: it does not count among the strangers any more."""
        self._release()

    @property
    def port(self) -> int:
        """The port of ours that it came to."""
        return int(self.tls.getsockname()[1])

    @property
    def certificate(self) -> bytes:
        """Its certificate (DER), proved by the handshake; empty if it has none."""
        return self.tls.getpeercert(binary_form=True) or b""


class Host(Protocol):
    """Serves visitors of one protocol. It owns ``visitor.tls`` from the call on and bounds its own time."""

    def __call__(self, visitor: Visitor, /) -> Awaitable[None]: ...

"""Who is connected: the one control connection of each appliance, and of each user's certificate."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final

from .appliance_peer import AppliancePeer, Report
from .user_peer import UserPeer

SIGNED_OUT_S: Final = 600.0
"""As long as a LinkManager that is to be signed out has to come back: it tries at least once a minute."""
SIGNED_OUT: Final = "you were signed out here, on your account's page: log in again"


class Peers:
    """The logged-in peers."""

    def __init__(self) -> None:
        self._appliances: dict[str, AppliancePeer] = {}
        self._users: dict[bytes, UserPeer] = {}
        self._signed_out: dict[bytes, float] = {}
        self.said: Callable[[AppliancePeer, Report], None] = lambda _peer, _message: None
        """Who hears what appliances report."""
        self.came: Callable[[AppliancePeer], None] = lambda _peer: None
        """Told of every appliance that is here from now on."""
        self.left: Callable[[AppliancePeer], None] = lambda _peer: None
        """Told of every appliance that is not here any more."""

    def put_appliance(self, peer: AppliancePeer) -> AppliancePeer | None:
        """Make this the appliance's connection; return the one whose place it takes."""
        before = self._appliances.get(peer.appliance_id)
        self._appliances[peer.appliance_id] = peer
        peer.said = self.said
        self.came(peer)
        return before

    def put_user(self, peer: UserPeer) -> UserPeer | None:
        """Make this the connection of a user's certificate; return the one whose place it takes."""
        before = self._users.get(peer.certificate_sha256)
        self._users[peer.certificate_sha256] = peer
        return before

    def remove_appliance(self, peer: AppliancePeer) -> None:
        """Its connection ended; nothing if another one has taken its place."""
        if self._appliances.get(peer.appliance_id) is peer:
            del self._appliances[peer.appliance_id]
            self.left(peer)

    def remove_user(self, peer: UserPeer) -> None:
        """Its connection ended; nothing if another one has taken its place."""
        if self._users.get(peer.certificate_sha256) is peer:
            del self._users[peer.certificate_sha256]

    def sign_out(self, certificate_sha256: bytes, now: float) -> None:
        """End a LinkManager's connection; the login by which it comes back by itself is refused, once."""
        self._signed_out = {digest: until for digest, until in self._signed_out.items() if now < until}
        self._signed_out[certificate_sha256] = now + SIGNED_OUT_S
        peer = self._users.get(certificate_sha256)
        if peer is not None:
            peer.channel.refuse("login", SIGNED_OUT)

    def was_signed_out(self, certificate_sha256: bytes, now: float) -> bool:
        """Whether this login is the one to be refused."""
        return now < self._signed_out.pop(certificate_sha256, now)

    def appliance(self, appliance_id: str) -> AppliancePeer | None:
        """Return an appliance's connection."""
        return self._appliances.get(appliance_id)

    def user(self, certificate_sha256: bytes) -> UserPeer | None:
        """Return the connection of a user's certificate."""
        return self._users.get(certificate_sha256)

    def appliances(self) -> Iterator[AppliancePeer]:
        """Go over a snapshot of the connected appliances."""
        return iter(tuple(self._appliances.values()))

    def users(self) -> Iterator[UserPeer]:
        """Go over a snapshot of the connected users."""
        return iter(tuple(self._users.values()))

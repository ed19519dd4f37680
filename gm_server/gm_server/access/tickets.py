"""Single-use tickets: each admits one leg of a session, once, soon, and only from the party it was made for. No I/O.

Tickets are kept and looked up by their SHA-256, so that a lookup's time tells nothing about a ticket.
"""

from __future__ import annotations

import hashlib
import hmac
from typing import Literal

import msgspec

from gatelink.exceptions import Refused
from gatelink.wire import TICKET_LIFETIME_S

Side = Literal["user", "appliance"]
_REFUSED = "the ticket is used, expired or not yours: ask for the session again"


class Ticket(msgspec.Struct, frozen=True):
    """What a ticket admits to."""

    session_id: str
    side: Side
    certificate_sha256: bytes
    expires_at: float


class TicketBox:
    """The tickets that are out."""

    def __init__(self, lifetime_s: float = TICKET_LIFETIME_S) -> None:
        self._lifetime_s = lifetime_s
        self._tickets: dict[bytes, Ticket] = {}

    def __len__(self) -> int:
        return len(self._tickets)

    def put(self, secret: bytes, session_id: str, side: Side, certificate_sha256: bytes, now: float) -> None:
        """Keep a ticket of 32 random bytes for the holder of a certificate."""
        digest = hashlib.sha256(secret).digest()
        self._tickets[digest] = Ticket(session_id, side, certificate_sha256, now + self._lifetime_s)

    def take(self, secret: bytes, certificate_sha256: bytes, now: float) -> Ticket:
        """Return what a ticket admits to; it is used up. Raises Refused (``ticket``), the same for every reason.

        A ticket that somebody else presents stays good for whom it was made.
        """
        digest = hashlib.sha256(secret).digest()
        ticket = self._tickets.get(digest)
        if ticket is None or not hmac.compare_digest(ticket.certificate_sha256, certificate_sha256):
            raise Refused("ticket", _REFUSED)
        del self._tickets[digest]
        if now >= ticket.expires_at:
            raise Refused("ticket", _REFUSED)
        return ticket

    def forget(self, session_id: str) -> None:
        """Drop what is left of a session's tickets."""
        self._tickets = {key: ticket for key, ticket in self._tickets.items() if ticket.session_id != session_id}

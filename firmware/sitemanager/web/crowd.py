"""Who is connected to the page, and who has to leave when it is full: a newcomer always gets in.

On the machine's side there may be a device that opens connection after connection, under many addresses. So nobody is
refused; the one leaves who is missed least: of those that are not logged in, first who never asked anything, then of
the neighbour that has the most, the oldest. A neighbour is a MAC address where the kernel knows it, else an address.
"""

from __future__ import annotations

import contextlib
import socket
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, TypeAlias

import msgspec

MOST_CONNECTIONS: Final = 64
"""HTTP and HTTPS together, TLS handshakes that are not done yet included. A security limit."""
MOST_OF_A_NEIGHBOUR: Final = 16
"""A browser opens 6 to a host; there may be two of them."""
WELCOME_S: Final = 900.0
"""So long a neighbour counts as logged in after a page that only the technician gets."""
MOST_WELCOMES: Final = 64
_ARP_TABLE: Final = Path("/proc/net/arp")
Peer: TypeAlias = tuple[str, int]


class Guest(msgspec.Struct):
    """One connection."""

    connection: socket.socket
    neighbour: str
    asked: bool = False

    @property
    def is_there(self) -> bool:
        """Whether nobody closed it meanwhile."""
        return self.connection.fileno() != -1

    def send_away(self) -> None:
        """Close it for both sides; whoever serves it sees its end."""
        with contextlib.suppress(OSError):
            self.connection.shutdown(socket.SHUT_RDWR)


class Crowd:
    """All connections of the page. ``mac_of`` finds a neighbour's MAC, empty if it is not known."""

    def __init__(self, mac_of: Callable[[str], str] | None = None, clock: Callable[[], float] = time.monotonic) -> None:
        self._mac_of = mac_of or known_mac
        self._clock = clock
        self._guests: dict[Peer, Guest] = {}
        self._welcome_until: dict[str, float] = {}

    def enter(self, connection: socket.socket, peer: Peer) -> None:
        """Let a newcomer in; somebody leaves if it is too many."""
        self._guests = {other: guest for other, guest in self._guests.items() if guest.is_there}
        neighbour = self._mac_of(peer[0]) or peer[0]
        own = [(other, guest) for other, guest in self._guests.items() if guest.neighbour == neighbour]
        if len(own) >= MOST_OF_A_NEIGHBOUR:
            self._leave(min(own, key=lambda entry: entry[1].asked)[0])
        elif len(self._guests) >= MOST_CONNECTIONS:
            self._leave(self._least_missed())
        self._guests[peer] = Guest(connection, neighbour)

    def asked(self, peer: Peer) -> None:
        """Note that a request came by this connection."""
        guest = self._guests.get(peer)
        if guest is not None:
            guest.asked = True

    def welcome(self, address: str) -> None:
        """Note that somebody at this address is logged in."""
        now = self._clock()
        self._welcome_until = {name: until for name, until in self._welcome_until.items() if until > now}
        if len(self._welcome_until) < MOST_WELCOMES:
            self._welcome_until[self._mac_of(address) or address] = now + WELCOME_S

    def _least_missed(self) -> Peer:
        now = self._clock()
        sizes = Counter(guest.neighbour for guest in self._guests.values())

        def worth(peer: Peer) -> tuple[bool, bool, int]:
            guest = self._guests[peer]
            return self._welcome_until.get(guest.neighbour, 0.0) > now, guest.asked, -sizes[guest.neighbour]

        # The table is in order of arrival, and of equals min() takes the first.
        return min(self._guests, key=worth)

    def _leave(self, peer: Peer) -> None:
        self._guests.pop(peer).send_away()


class Listener(socket.socket):
    """A listening socket whose connections enter the crowd before anything is read from them, a handshake included."""

    crowd: Crowd

    def accept(self) -> tuple[socket.socket, Any]:
        """As a socket's."""
        connection, peer = super().accept()
        self.crowd.enter(connection, peer)
        return connection, peer


def known_mac(address: str) -> str:
    """Return the MAC of a neighbour as the kernel knows it; empty if it does not."""
    try:
        rows = _ARP_TABLE.read_text(encoding="ascii").splitlines()
    except (OSError, UnicodeDecodeError):
        return ""
    for row in rows[1:]:
        words = row.split()
        if len(words) >= 4 and words[0] == address and words[3] != "00:00:00:00:00:00":
            return words[3]
    return ""

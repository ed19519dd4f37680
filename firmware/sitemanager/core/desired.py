"""What the host's network is to be while sessions run: the whole state, as data."""

from __future__ import annotations

import hashlib
import ipaddress
from typing import Final

import msgspec

from gatelink.messages import Devices, OpenSession
from gatelink.messages.shapes import Mode

from .serial_settings import offers

INTERFACE_PREFIX: Final = "gls"
"""Every TAP adapter of a session is named so, and a number follows. Nothing else on the host may be."""


MARK: Final = 0x6700_0000
MARK_MASK: Final = 0xFF00_0000
"""The first byte of the conntrack mark of every connection of every session; other software should not use it."""


class SessionNetwork(msgspec.Struct, frozen=True):
    """One session as the network sees it: the PC at the far end of a TAP adapter, and what it may reach."""

    interface: str
    pc: str
    gateway: str
    prefix_length: int
    devices: Devices
    mark: int
    """On every connection of this session (conntrack mark): see ``connection_mark``."""
    user: str = ""
    """For people."""
    mode: Mode = "routed"

    @property
    def local_addresses(self) -> tuple[str, ...]:
        """Virtual addresses at which the SiteManager itself serves: those of serial ports."""
        if self.mode == "bridged":
            return ()
        return tuple(sorted({offer.address for offer in offers(self.devices)}))

    @property
    def segment(self) -> ipaddress.IPv4Network:
        """The tunnel's network."""
        return ipaddress.IPv4Network((self.gateway, self.prefix_length), strict=False)


class DesiredState(msgspec.Struct, frozen=True):
    """All sessions, and the interfaces at the machine side by which devices may be reached."""

    sessions: tuple[SessionNetwork, ...] = ()
    dev_interfaces: tuple[str, ...] = ()

    @property
    def routed(self) -> tuple[SessionNetwork, ...]:
        """Those whose packets are routed."""
        return tuple(session for session in self.sessions if session.mode == "routed")

    @property
    def bridged(self) -> tuple[SessionNetwork, ...]:
        """Those whose frames go to the first machine-side interface as they are."""
        return tuple(session for session in self.sessions if session.mode == "bridged")


def session_network(message: OpenSession, interface: str) -> SessionNetwork:
    """Return how an admitted session is to be on ``interface``."""
    tunnel = message.tunnel
    mark = connection_mark(message.peer_certificate, tunnel.pc)
    return SessionNetwork(
        interface,
        tunnel.pc,
        tunnel.gateway,
        tunnel.prefix_length,
        message.devices,
        mark,
        message.user,
        message.mode,
    )


def connection_mark(peer_certificate: bytes, pc: str) -> int:
    """Return the mark of the connections that this user makes from this tunnel address: ``MARK`` and 24 bits.

    It is the same when the user's session is resumed, so that connections to PLCs live on, and another one for whoever
    gets the address next, so that nothing which is left of a connection in the kernel lets him in or reaches him.
    """
    digest = hashlib.sha256(b"gatelink connection mark v1\0" + peer_certificate + pc.encode()).digest()
    return MARK | int.from_bytes(digest[:3], "big")

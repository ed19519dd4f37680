"""A logged-in SM. There are thousands: one small object each, no task."""

from __future__ import annotations

import ssl
from collections.abc import Callable
from typing import Protocol, TypeAlias

from gatelink.channel import Channel
from gatelink.messages import (
    APPLIANCE_TO_GM,
    ApplianceEvent,
    ApplianceLogin,
    ApplianceStatus,
    ApplianceToGm,
    DeviceStates,
    FirmwareFetch,
    FirmwareProgress,
    Ping,
    Pong,
    ScanResult,
    SessionEnded,
    SessionRefused,
)
from gatelink.messages.appliance import DeviceWatch

Report: TypeAlias = ApplianceStatus | DeviceStates | ScanResult | ApplianceEvent | FirmwareFetch | FirmwareProgress
"""What an appliance says of itself and its devices."""


class ApplianceEvents(Protocol):
    """Who is told what an appliance says."""

    def appliance_refused(self, peer: AppliancePeer, message: SessionRefused) -> None:
        """It cannot open a session."""

    def appliance_ended(self, peer: AppliancePeer, message: SessionEnded) -> None:
        """A session is over at its end."""

    def appliance_left(self, peer: AppliancePeer, reason: str) -> None:
        """Its connection is gone."""


class AppliancePeer:
    """The control connection of an appliance, from its login to its end."""

    __slots__ = (
        "_events",
        "address",
        "appliance_id",
        "certificate_sha256",
        "channel",
        "device_changes",
        "path",
        "port",
        "run_id",
        "said",
        "since",
        "software",
        "status",
        "watch",
    )

    def __init__(
        self,
        events: ApplianceEvents,
        appliance_id: str,
        path: str,
        certificate_sha256: bytes,
        run_id: str,
        software: str,
        address: str,
        port: int,
        since: float,
    ) -> None:
        self._events = events
        self.appliance_id = appliance_id
        self.path = path
        self.certificate_sha256 = certificate_sha256
        self.run_id = run_id
        self.software = software
        self.address = address
        self.port = port
        self.since = since
        self.said: Callable[[AppliancePeer, Report], None] = lambda _peer, _message: None
        """Who hears everything that is not about a session."""
        self.status: ApplianceStatus | None = None
        """What it said of itself last."""
        self.device_changes = 0
        """How often devices began to be reached, or ceased to be, as far as it is written down."""
        self.watch: tuple[DeviceWatch, ...] = ()
        """What it was told to check."""
        self.channel: Channel[ApplianceToGm]

    def start(self, tls: ssl.SSLSocket, keepalive_s: float) -> None:
        """Listen from now on."""
        self.channel = Channel(tls, APPLIANCE_TO_GM, keepalive_s, self._on_message, self._on_closed)

    def _on_message(self, message: ApplianceToGm) -> None:
        if isinstance(message, SessionRefused):
            self._events.appliance_refused(self, message)
        elif isinstance(message, SessionEnded):
            self._events.appliance_ended(self, message)
        elif isinstance(message, ApplianceLogin):
            self.channel.refuse("protocol", "this is not allowed after the login")
        elif not isinstance(message, Ping | Pong):
            self.said(self, message)

    def _on_closed(self, reason: str) -> None:
        self._events.appliance_left(self, reason)

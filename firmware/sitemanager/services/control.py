"""The control connection's owner: what the keeper asks, and where the GateManager's messages go."""

from __future__ import annotations

import secrets
import ssl
from collections import deque
from collections.abc import Callable
from typing import Final

from gatelink.certificates import Credentials
from gatelink.exceptions import LinkError, PinMismatch, Refused, TrustError
from gatelink.link.endpoints import Endpoint, endpoints
from gatelink.link.keeper import Keeper, KeeperSettings
from gatelink.link.leg import end_to_end, open_leg
from gatelink.messages import (
    GM_TO_APPLIANCE,
    ApplianceLogin,
    ChangeSession,
    EndSession,
    GmToAppliance,
    Message,
    OpenSession,
    PinAlarm,
    Refusal,
    Welcome,
)
from gatelink.pins import Pin
from gatelink.tls import tunnel_server_context
from sitemanager.config import Config
from sitemanager.core.clock import GmClock
from sitemanager.exceptions import NetworkError, StateError
from sitemanager.host import times
from sitemanager.host.state import Known, State

from .enrolment import SOFTWARE
from .gm_line import GmLine
from .sessions import Sessions

MAX_UNTOLD: Final = 256
"""Messages kept for a GateManager that is away; the oldest go first."""


class Control:
    """Owner of the keeper; ``sessions`` is set before ``run``."""

    sessions: Sessions

    def __init__(
        self,
        state: State,
        config: Callable[[], Config],
        pin: Pin,
        identity: Credentials,
        clock: GmClock,
        report: Callable[[str], None],
        line: GmLine | None = None,
        settings: KeeperSettings | None = None,
    ) -> None:
        self._state = state
        self._config = config
        self._line = line or GmLine()
        self.identity = identity
        self._clock = clock
        self._report = report
        self._run_id = secrets.token_hex(16)
        self._untold: deque[Message] = deque(maxlen=MAX_UNTOLD)
        self._last_way: Endpoint | None = None
        self.known = state.known()
        self.connected_at: float | None = None
        """Steady seconds; None while there is no connection."""
        self.lost_at: float | None = None
        self.lost_reason = ""
        self.retry_at: float | None = None
        """Steady seconds; of the next attempt, while there is no connection."""
        now = config()
        settings = settings or KeeperSettings(probe_s=now.probe_s, backoff_longest_s=now.backoff_longest_s)
        self.keeper: Keeper[GmToAppliance] = Keeper(self, pin, identity, GM_TO_APPLIANCE, settings)
        self._line.attach(self.keeper.send, self.reconnect)

    def reconnect(self, reason: str) -> None:
        """Drop the connection: the ways to the GateManager have changed, and the new ones are to be tried."""
        self.connected_at, self.lost_at = None, times.steady_s()
        if self.keeper.channel is not None:
            self.keeper.channel.close(reason)

    def tell(self, message: Message) -> None:
        """Send a message now, or when there is a connection again."""
        if not self.keeper.send(message):
            self._untold.append(message)

    async def open_tunnel(self, message: OpenSession) -> ssl.SSLSocket:
        """Open our leg of a session, by the way that the control connection has, and do the end-to-end TLS."""
        way = self.keeper.way or self._last_way
        if way is None:
            raise LinkError("the GateManager was never reached")
        try:
            context = tunnel_server_context(self.identity, message.peer_certificate)
        except (ssl.SSLError, ValueError):
            raise TrustError("the certificate of the far end, as the GateManager announced it, is damaged") from None
        try:
            leg = await open_leg(way, self.keeper.pin, self.identity, message.ticket)
        except PinMismatch as error:
            self.keeper.note_alarm(way, error.presented)
            raise
        return await end_to_end(leg, context, server_side=True)

    def ways(self) -> tuple[Endpoint, ...]:
        """Return the configured addresses, then those that the GateManager told."""
        config = self._config()
        told = tuple(address for address in self.known.gm_addresses if address not in config.gm_addresses)
        proxies = [entry.proxy for entry in config.proxies]
        return endpoints((*config.gm_addresses, *told), config.ports, proxies)

    def login(self, way: Endpoint, alarms: tuple[PinAlarm, ...]) -> Message:
        """Say who runs here; who we are is in the certificate."""
        return ApplianceLogin(software=SOFTWARE, run_id=self._run_id, route=way.route, pin_alarms=alarms)

    def pin_changed(self, pin: Pin) -> None:
        """Lock to the successor."""
        self._report(f"the GateManager proved a new certificate: {pin.describe()}; locked to it")
        self._try(lambda: self._state.save_pin(pin))

    def connected(self, welcome: Welcome, way: Endpoint) -> None:
        """Learn time and names, and tell what could not be told."""
        self._last_way = way
        self.connected_at, self.lost_reason, self.retry_at = times.steady_s(), "", None
        self._clock.learn(welcome.unix_time_s, times.steady_s())
        self._set_system_clock(welcome.unix_time_s)
        self._remember(welcome)
        self.sessions.keepalive_s = welcome.keepalive_s
        self.sessions.control_is_back()
        through = f" through the proxy {way.proxy.host}:{way.proxy.port}" if way.proxy else ""
        self._report(
            f"connected to {way.address} port {way.port}{through} as {welcome.name} "
            f"(GateManager {welcome.gm_name}, serial {self.keeper.pin.serial})"
        )
        while self._untold and self.keeper.send(self._untold[0]):
            self._untold.popleft()
        self._line.connected(welcome)

    def received(self, message: GmToAppliance) -> None:
        """Hand a message on."""
        match message:
            case OpenSession():
                self.sessions.open(message)
            case ChangeSession():
                self.sessions.change(message)
            case EndSession():
                self.sessions.end(message)
            case Refusal(code="replaced"):
                self._report("this connection ends: a newer one of this SiteManager takes its place")
            case Refusal():
                self._report(f"the GateManager refused a message: {message.text}")
                self._line.received(message)
            case _ if not self._line.received(message):
                self._report(f"the GateManager said {type(message).__name__}, which means nothing here")

    def lost(self, reason: str, retry_s: float) -> None:
        """Note that there is no connection."""
        if self.connected_at is not None or self.lost_at is None:
            self.lost_at = times.steady_s()
        self.connected_at, self.lost_reason = None, reason
        self.retry_at = times.steady_s() + retry_s
        self.sessions.control_is_lost()
        self._report(f"no connection: {reason}; next attempt in {retry_s:.1f} s")

    def is_final(self, refusal: Refused) -> bool:
        """Never: who was removed may be taken in again, and nobody stands here to start us."""
        return False

    def _remember(self, welcome: Welcome) -> None:
        known = Known(welcome.peer_id, welcome.name, welcome.domain, welcome.gm_name, welcome.gm_addresses)
        if known != self.known:
            self.known = known
            self._try(lambda: self._state.save_known(known))

    def _set_system_clock(self, gm_unix_s: float) -> None:
        is_set = self._clock.is_system_clock_set(times.system_unix_s(), times.steady_s())
        if self._config().set_system_clock and not is_set:
            self._try(lambda: times.set_system_clock(gm_unix_s))
            self._report("the system clock was set to the GateManager's time")

    def _try(self, action: Callable[[], None]) -> None:
        """Do what is good to have done; the connection goes on without it."""
        try:
            action()
        except (StateError, NetworkError) as error:
            self._report(str(error))

"""The agent's side of the control connection: login, requests and their answers, what the GateManager tells unasked."""

from __future__ import annotations

import asyncio
import functools
import itertools
import socket
import time
from collections.abc import Callable
from typing import Any, Final, Protocol, TypeVar

from gatelink.exceptions import GatelinkError, InputError, LinkError, PinMismatch, ProtocolError, Refused
from gatelink.identity import Identity
from gatelink.link.endpoints import Endpoint, Proxy, check_address, endpoints
from gatelink.link.keeper import Keeper, KeeperSettings
from gatelink.link.leg import open_leg
from gatelink.link.login import Prompt
from gatelink.messages import (
    GM_TO_USER,
    AccessDecided,
    ApplianceList,
    ApplianceView,
    ChangeSession,
    Connect,
    Connected,
    EndSession,
    GmToUser,
    ListAppliances,
    Message,
    PinAlarm,
    Refusal,
    Relays,
    TreeChanged,
    UserLogin,
    Welcome,
)
from gatelink.pins import Pin
from lm_client import __version__
from lm_client.config import Config
from lm_client.core.refusals import is_final_login
from lm_client.home import Home, Profile
from lm_client.journal import Journal

from .alarms import AlarmBook

SOFTWARE: Final = f"lm {__version__}"
REQUEST_TIMEOUT_S: Final = 15.0
REPLACED_TIMES: Final = 3
REPLACED_WITHIN_S: Final = 60.0
MAX_APPLIANCES: Final = 100_000
"""A bound on what the GateManager can make us hold."""
R = TypeVar("R")


class Listener(Protocol):
    """Who hears what the GateManager tells unasked."""

    def session_ended(self, message: EndSession) -> None:
        """A session is over."""

    def session_changed(self, message: ChangeSession) -> None:
        """A session's rights are others now."""

    def tree_changed(self) -> None:
        """What may be seen is another now."""

    def relays_told(self, message: Relays) -> None:
        """These are the permanent relays to carry."""

    def access_decided(self, message: AccessDecided) -> None:
        """Somebody decided about a request."""

    def logged_in(self) -> None:
        """There is a connection, the first or another one."""


class GateManager:
    """Owner of the keeper. Requests raise LinkError while there is no connection, Refused for a no."""

    def __init__(
        self,
        home: Home,
        profile: Profile,
        config: Config,
        pin: Pin,
        identity: Identity,
        password: str,
        journal: Journal,
        listener: Listener,
        alarms: AlarmBook,
        prompt: Prompt | None = None,
    ) -> None:
        link = config.link
        settings = KeeperSettings(link.stagger_s, link.probe_s, link.backoff_first_s, link.backoff_longest_s)
        self.identity = identity
        self.profile = profile
        self.welcome: Welcome | None = None
        self.first_login: asyncio.Future[Welcome] = asyncio.get_running_loop().create_future()
        self.since = time.time()
        self.trouble = "not connected yet"
        self._home = home
        self._link = link
        self._password = password
        self._journal = journal
        self._listener = listener
        self._alarms = alarms
        self._resume = b""
        """The GateManager's word that the second factor was given: for reconnecting."""
        self._keeper: Keeper[GmToUser] = Keeper(self, pin, identity, GM_TO_USER, settings, prompt)
        self._numbers = itertools.count(1)
        self._waiting: dict[int, tuple[asyncio.Future[Any], Callable[[Any], None] | None]] = {}
        self._is_connected = asyncio.Event()
        self._replaced: list[float] = []
        self.rival: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        """Done when another LinkManager takes our place again and again: going on would be a tug of war."""

    # what others ask

    @property
    def pin(self) -> Pin:
        """The pin in force."""
        return self._keeper.pin

    @property
    def way(self) -> Endpoint | None:
        """The way in use, while there is a connection."""
        return self._keeper.way

    @property
    def round_trip_s(self) -> float | None:
        """Of the last keepalive."""
        return self._keeper.channel.round_trip_s if self._keeper.channel else None

    @property
    def own_address(self) -> str:
        """This end of the control connection, while there is one."""
        return self._keeper.own_address

    def drop(self, reason: str) -> None:
        """Make another connection: this one is dead."""
        self._keeper.drop(reason)

    async def run(self) -> None:
        """Keep the connection until cancelled. Raises Refused when the GateManager said a final no."""
        keeping = asyncio.ensure_future(self._keeper.run())
        try:
            await asyncio.wait((keeping, self.rival), return_when=asyncio.FIRST_COMPLETED)
            if keeping.done():
                return keeping.result()
            raise Refused("replaced", "another LinkManager logs in with the same certificate: use one for each PC")
        finally:
            self._alarms.keep(self._keeper.alarms)
            keeping.cancel()
            await asyncio.wait({keeping})

    async def wait_connected(self) -> None:
        """Wait until there is a connection."""
        await self._is_connected.wait()

    async def list_appliances(self) -> list[ApplianceView]:
        """Return all that the user may see."""
        found: list[ApplianceView] = []
        more = True
        while more and len(found) < MAX_APPLIANCES:
            after = found[-1].appliance_id if found else ""
            page = await self.request(functools.partial(_list_after, after), ApplianceList)
            found += page.appliances
            more = page.more and bool(page.appliances)
        return found

    async def connect(
        self,
        appliance_id: str,
        device_ids: tuple[str, ...],
        reason: str,
        resume: str | None,
        adopt: Callable[[Connected], None],
        *,
        bridged: bool = False,
        avoid: tuple[str, ...] = (),
        for_relays: bool = False,
    ) -> Connected:
        """Ask for a session; ``adopt`` is called before any later message of the GateManager is looked at.

        ``avoid`` are this PC's ends of tunnels that it gave and that are in use here.
        """
        return await self.request(
            lambda number: Connect(
                request_id=number,
                appliance_id=appliance_id,
                device_ids=device_ids,
                mode="bridged" if bridged else "routed",
                reason=reason,
                resume_session_id=resume,
                avoid=avoid,
                for_relays=for_relays,
            ),
            Connected,
            adopt,
        )

    async def open_leg(self, ticket: bytes) -> socket.socket:
        """Open our leg of a session by the way in use. Raises Refused, LinkError, PinMismatch: the GM will be told."""
        way = self.way
        if way is None:
            raise LinkError("the connection to the GateManager was lost meanwhile")
        try:
            return await open_leg(way, self.pin, self.identity, ticket)
        except PinMismatch as error:
            self._keeper.note_alarm(way, error.presented)
            raise

    async def request(
        self, make: Callable[[int], Message], kind: type[R], adopt: Callable[[R], None] | None = None
    ) -> R:
        """Send a request and return its answer."""
        number = next(self._numbers) % 2**32
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._waiting[number] = (future, adopt)
        try:
            if not self._keeper.send(make(number)):
                raise LinkError(f"there is no connection to the GateManager: {self.trouble}")
            async with asyncio.timeout(REQUEST_TIMEOUT_S):
                answer = await future
        except TimeoutError:
            reason = f"the GateManager did not answer within {REQUEST_TIMEOUT_S:.0f} s"
            self._keeper.drop(reason)
            raise LinkError(reason) from None
        finally:
            del self._waiting[number]
        if not isinstance(answer, kind):
            raise ProtocolError(f"expected {kind.__name__} from the GateManager, got {type(answer).__name__}")
        return answer

    def tell(self, message: Message) -> None:
        """Send what needs no answer; lost if there is no connection."""
        self._keeper.send(message)

    # what the keeper asks and tells

    def ways(self) -> tuple[Endpoint, ...]:
        """Return the ways to the GM, best first."""
        return ways_of(self.profile, self._link.ports, self.proxies)

    @property
    def proxies(self) -> tuple[Proxy, ...]:
        """The configured proxies."""
        return tuple(Proxy(proxy.host, proxy.port, proxy.username, proxy.password) for proxy in self._link.proxies)

    def login(self, way: Endpoint, alarms: tuple[PinAlarm, ...]) -> Message:
        """Return the first message of a connection."""
        return UserLogin(
            software=SOFTWARE,
            route=way.route,
            password=self._password,
            pin_alarms=self._alarms.with_those_of(alarms),
            resume=self._resume,
        )

    def pin_changed(self, pin: Pin) -> None:
        """Keep the pin of a proven successor."""
        self._journal.note(f"the GateManager has a new certificate, signed for by the old one: {pin.describe()}")
        self._keep(pin_certificate=pin.certificate, pin_how=pin.how)

    def connected(self, welcome: Welcome, way: Endpoint) -> None:
        """The login is good."""
        self._fail_waiting("the connection to the GateManager was replaced: try again")
        self._journal.note(f"logged in to {welcome.gm_name} as {welcome.name} by {way}")
        self.welcome = welcome
        self._resume = welcome.resume
        self._alarms.told()
        self.since = time.time()
        self._is_connected.set()
        learnt = tuple(address for address in welcome.gm_addresses if _is_usable(address))
        if not self.profile.user:
            self._keep(user=welcome.name, domain=welcome.domain)
        if learnt and learnt != self.profile.learnt_addresses:
            self._keep(learnt_addresses=learnt)
        if not self.first_login.done():
            self.first_login.set_result(welcome)
        else:
            self._listener.logged_in()

    def received(self, message: GmToUser) -> None:
        """Hand an answer to who waits for it, everything else to the listener."""
        if isinstance(message, EndSession):
            self._listener.session_ended(message)
        elif isinstance(message, ChangeSession):
            self._listener.session_changed(message)
        elif isinstance(message, TreeChanged):
            self._listener.tree_changed()
        elif isinstance(message, Relays):
            self._listener.relays_told(message)
        elif isinstance(message, AccessDecided):
            self._listener.access_decided(message)
        elif (number := getattr(message, "request_id", None)) is not None:
            self._answer(number, message)
        elif isinstance(message, Refusal):
            self._journal.note(f"the GateManager ends the connection: {message.text} ({message.code})")
            if message.code == "replaced":
                self._note_replaced()

    def lost(self, reason: str, retry_s: float) -> None:
        """There is no connection."""
        self._is_connected.clear()
        self._alarms.keep(self._keeper.alarms)
        self.trouble = reason
        self.since = time.time()
        self._fail_waiting(reason)
        self._journal.note(f"no connection to the GateManager: {reason}; next attempt in {retry_s:.1f} s")
        if not self.first_login.done():
            self.first_login.set_exception(LinkError(reason))

    def is_final(self, refusal: Refused) -> bool:
        """Whether a refused login makes further attempts useless."""
        return is_final_login(refusal.code)

    def _answer(self, number: int, message: GmToUser) -> None:
        future, adopt = self._waiting.get(number, (None, None))
        if future is None or future.done():
            return
        if isinstance(message, Refusal):
            future.set_exception(Refused(message.code, message.text))
            return
        if adopt is not None:
            adopt(message)
        future.set_result(message)

    def _note_replaced(self) -> None:
        """Once is a change of way or a hasty restart; again and again it is another PC with the same certificate."""
        now = time.monotonic()
        self._replaced = [then for then in self._replaced if now - then < REPLACED_WITHIN_S] + [now]
        if len(self._replaced) >= REPLACED_TIMES and not self.rival.done():
            self.rival.set_result(None)

    def _fail_waiting(self, reason: str) -> None:
        for future, _ in self._waiting.values():
            if not future.done():
                future.set_exception(LinkError(reason))

    def _keep(self, **changes: Any) -> None:
        values = {name: getattr(self.profile, name) for name in self.profile.__struct_fields__}
        self.profile = Profile(**{**values, **changes})
        try:
            self._home.save_profile(self.profile)
        except InputError as error:
            self._journal.note(str(error))


def ways_of(profile: Profile, ports: tuple[int, ...], proxies: tuple[Proxy, ...]) -> tuple[Endpoint, ...]:
    """Return the ways to the GM, best first: the addresses that were given before those that were learnt."""
    return endpoints(tuple(dict.fromkeys(profile.addresses + profile.learnt_addresses)), ports, proxies)


def _list_after(after: str, number: int) -> ListAppliances:
    return ListAppliances(request_id=number, after=after)


def _is_usable(address: str) -> bool:
    try:
        check_address(address)
    except GatelinkError:
        return False
    return True

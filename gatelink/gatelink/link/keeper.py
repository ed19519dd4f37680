"""Keeps a control connection to the GateManager for as long as the program runs.

Races the ways, logs in, hands over messages, and starts again with back-off when the connection is lost. While it is on
another way than the best it tries the better ones every ``probe_s`` and changes over: the GateManager takes the new
login at once, running sessions have connections of their own and go on.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
from collections.abc import Callable
from typing import Final, Generic, Protocol, TypeVar

import msgspec

from gatelink.backoff import Backoff
from gatelink.certificates import Credentials, key_sha256, serial_text
from gatelink.channel import Channel
from gatelink.exceptions import GatelinkError, LinkError, PinMismatch, Refused
from gatelink.messages import LoginChallenge, M, Message, PinAlarm, Refusal, Vocabulary, Welcome
from gatelink.pins import Pin
from gatelink.wire import ALPN_CONTROL, KEEPALIVE_S, LOGIN_TIMEOUT_S

from .contact import Contact, connect_pinned
from .dial import STAGGER_S, race
from .endpoints import Endpoint
from .login import Prompt

MAX_ALARMS: Final = 16
M_contra = TypeVar("M_contra", bound=Message, contravariant=True)


class KeeperSettings(msgspec.Struct, frozen=True):
    """How a connection is kept; the defaults are the product's."""

    stagger_s: float = STAGGER_S
    probe_s: float = 600.0
    backoff_first_s: float = 1.0
    backoff_longest_s: float = 60.0


class Owner(Protocol[M_contra]):
    """What the keeper asks of, and tells, the program that it keeps the connection for."""

    def ways(self) -> tuple[Endpoint, ...]:
        """Return the ways to the GM, best first; asked anew for every attempt."""

    def login(self, way: Endpoint, alarms: tuple[PinAlarm, ...]) -> Message:
        """Return the first message of a connection."""

    def pin_changed(self, pin: Pin) -> None:
        """The GM proved a successor of its certificate: keep this pin."""

    def connected(self, welcome: Welcome, way: Endpoint) -> None:
        """The login is good. Called again when the keeper changed to a better way."""

    def received(self, message: M_contra) -> None:
        """A message other than the answer to the login came."""

    def lost(self, reason: str, retry_s: float) -> None:
        """There is no connection; the next attempt is in ``retry_s``."""

    def is_final(self, refusal: Refused) -> bool:
        """Whether a refused login makes further attempts useless: ``run`` then raises it."""


class Keeper(Generic[M]):
    """Runs the control connection of ``owner``."""

    def __init__(
        self,
        owner: Owner[M],
        pin: Pin,
        identity: Credentials,
        vocabulary: Vocabulary[M],
        settings: KeeperSettings | None = None,
        prompt: Prompt | None = None,
    ) -> None:
        self._owner = owner
        self._prompt = prompt
        self._pin = pin
        self._identity = identity
        self._vocabulary = vocabulary
        self._settings = settings or KeeperSettings()
        self._login: _Login[M] | None = None
        self._alarms: dict[tuple[str, int, bytes], PinAlarm] = {}

    @property
    def pin(self) -> Pin:
        """The pin in force."""
        return self._pin

    @property
    def channel(self) -> Channel[M] | None:
        """The control connection, while there is one."""
        return self._login.channel if self._login else None

    @property
    def way(self) -> Endpoint | None:
        """The way in use, while there is a connection."""
        return self._login.way if self._login else None

    @property
    def alarms(self) -> tuple[PinAlarm, ...]:
        """Whom we met in between and the GM was not told of yet."""
        return tuple(self._alarms.values())

    def send(self, message: Message) -> bool:
        """Send a message; False if there is no connection."""
        if self._login is None or not self._login.channel.is_open:
            return False
        self._login.channel.send(message)
        return True

    @property
    def own_address(self) -> str:
        """This end of the control connection, while there is one."""
        return self._login.own_address if self._login else ""

    def drop(self, reason: str) -> None:
        """Give the control connection up, and make another one: who knows that the line is dead need not wait."""
        if self._login is not None:
            self._login.close(reason)

    def note_alarm(self, way: Endpoint, presented: bytes) -> None:
        """Remember, boundedly, whom we met in between: the GM is told at the next good login."""
        with contextlib.suppress(GatelinkError):
            digest = key_sha256(presented)
            alarm = PinAlarm(way.route, serial_text(presented)[:64], digest, time.time())
            if len(self._alarms) < MAX_ALARMS:
                self._alarms.setdefault((way.address, way.port, digest), alarm)

    async def run(self) -> None:
        """Keep the connection until cancelled. Raises Refused if the GM said a final no."""
        backoff = Backoff(random.uniform, self._settings.backoff_first_s, self._settings.backoff_longest_s)
        try:
            while True:
                try:
                    self._use(await self._connect(self._owner.ways()))
                    backoff.reset()
                    reason = await self._stay()
                except Refused as error:
                    if self._owner.is_final(error):
                        raise
                    reason = f"the GateManager refused the login: {error}"
                except GatelinkError as error:
                    reason = str(error)
                delay_s = backoff.next_delay_s()
                self._owner.lost(reason, delay_s)
                await asyncio.sleep(delay_s)
        finally:
            self._drop("closed")

    async def _connect(self, ways: tuple[Endpoint, ...]) -> _Login[M]:
        contact, way = await race(ways, self._attempt, self._settings.stagger_s)
        if contact.pin != self._pin:
            self._pin = contact.pin
            self._owner.pin_changed(contact.pin)
        alarms = tuple(self._alarms.values())
        login = _Login(contact, way, self._vocabulary, self._owner.received, self._prompt)
        try:
            await login.complete(self._owner.login(way, alarms))
        except BaseException:
            login.close("the login failed")
            raise
        for alarm in alarms:
            self._alarms = {key: kept for key, kept in self._alarms.items() if kept is not alarm}
        return login

    async def _attempt(self, way: Endpoint) -> Contact:
        try:
            return await connect_pinned(way, self._pin, ALPN_CONTROL, self._identity)
        except PinMismatch as error:
            self.note_alarm(way, error.presented)
            raise

    def _use(self, login: _Login[M]) -> None:
        before, self._login = self._login, login
        if before is not None:
            before.close("changed to a better way")
        self._owner.connected(login.welcome, login.way)
        login.deliver()

    async def _stay(self) -> str:
        """Stay connected, changing to better ways; return why the connection is lost."""
        while self._login is not None:
            login = self._login
            try:
                async with asyncio.timeout(self._settings.probe_s):
                    reason = await asyncio.shield(login.closed)
            except TimeoutError:
                await self._look_for_better(login)
            else:
                self._drop(reason)
                return reason
        return "closed"

    async def _look_for_better(self, login: _Login[M]) -> None:
        ways = self._owner.ways()
        better = ways[: ways.index(login.way)] if login.way in ways else ways
        if better:
            with contextlib.suppress(GatelinkError):
                self._use(await self._connect(better))

    def _drop(self, reason: str) -> None:
        login, self._login = self._login, None
        if login is not None:
            login.close(reason)


class _Login(Generic[M]):
    """One connection, from TLS to its end. Messages that come before the owner knows of it wait in a list."""

    def __init__(
        self,
        contact: Contact,
        way: Endpoint,
        vocabulary: Vocabulary[M],
        deliver: Callable[[M], None],
        prompt: Prompt | None,
    ) -> None:
        loop = asyncio.get_running_loop()
        self.way = way
        self.own_address = str(contact.tls.getsockname()[0])
        self.closed: asyncio.Future[str] = loop.create_future()
        self._welcome: asyncio.Future[Welcome] = loop.create_future()
        self._deliver = deliver
        self._early: list[M] | None = []
        self._prompt = prompt
        self._asking: asyncio.Task[None] | None = None
        self._patience: asyncio.Timeout | None = None
        self.channel = Channel(contact.tls, vocabulary, KEEPALIVE_S, self._on_message, self._on_closed)

    @property
    def welcome(self) -> Welcome:
        """The GM's answer; only after ``complete``."""
        return self._welcome.result()

    async def complete(self, first: Message) -> None:
        """Send the login, let the person answer challenges, wait for the welcome; raises Refused, LinkError."""
        self.channel.send(first)
        try:
            async with asyncio.timeout(LOGIN_TIMEOUT_S) as self._patience:
                welcome = await self._welcome
        except TimeoutError:
            raise LinkError(f"the GateManager did not answer the login within {LOGIN_TIMEOUT_S:.0f} s") from None
        finally:
            if self._asking is not None:
                self._asking.cancel()
        self.channel.change_keepalive(welcome.keepalive_s)

    def deliver(self) -> None:
        """Hand over what came behind the welcome, and everything from now on."""
        early, self._early = self._early or [], None
        for message in early:
            self._deliver(message)

    def close(self, reason: str) -> None:
        """End the connection."""
        self.channel.close(reason)

    def _on_message(self, message: M) -> None:
        if not self._welcome.done():
            if isinstance(message, Welcome):
                self._welcome.set_result(message)
            elif isinstance(message, Refusal):
                self._welcome.set_exception(Refused(message.code, message.text))
            elif isinstance(message, LoginChallenge) and self._prompt is not None:
                self._ask(self._prompt, message)
            else:
                self.channel.refuse("protocol", "expected the answer to the login first")
        elif self._early is not None:
            self._early.append(message)
        else:
            self._deliver(message)

    def _ask(self, prompt: Prompt, challenge: LoginChallenge) -> None:
        """Let the person answer; the last challenge counts."""

        async def answer() -> None:
            try:
                self.channel.send(await prompt(challenge))
            except GatelinkError as error:
                if not self._welcome.done():
                    self._welcome.set_exception(error)

        if self._asking is not None:
            self._asking.cancel()
        loop = asyncio.get_running_loop()
        self._asking = loop.create_task(answer())
        if self._patience is not None:
            self._patience.reschedule(loop.time() + challenge.expires_s + LOGIN_TIMEOUT_S)

    def _on_closed(self, reason: str) -> None:
        if not self._welcome.done():
            self._welcome.set_exception(LinkError(f"the GateManager ended the login: {reason}"))
        if not self.closed.done():
            self.closed.set_result(reason)

"""A logged-in LM: its requests are answered in tasks, a few at a time."""

from __future__ import annotations

import asyncio
import logging
import ssl
from collections.abc import Callable, Coroutine
from typing import Any, Final, Protocol, TypeVar

from gatelink.channel import Channel
from gatelink.exceptions import Refused
from gatelink.identity import certificate_sha256
from gatelink.messages import (
    USER_TO_GM,
    Connect,
    Disconnect,
    ListAppliances,
    Refusal,
    RelayDuty,
    RelayState,
    RelayStates,
    RequestAccess,
    SessionEnded,
    UserToGm,
    WatchRelays,
    WatchTree,
)

MAX_REQUESTS: Final = 8
"""Of one peer at the same time. A security limit."""
R = TypeVar("R", ListAppliances, Connect, Disconnect, RequestAccess, WatchTree, WatchRelays)
_log = logging.getLogger("gm.users")


class UserEvents(Protocol):
    """Who answers, and is told, what a user's LM says. What an answer raises (Refused) becomes the refusal."""

    async def list_appliances(self, peer: UserPeer, request: ListAppliances) -> None:
        """Answer with a page of appliances."""

    async def connect(self, peer: UserPeer, request: Connect) -> None:
        """Open a session."""

    async def disconnect(self, peer: UserPeer, request: Disconnect) -> None:
        """End a session."""

    async def request_access(self, peer: UserPeer, request: RequestAccess) -> None:
        """Ask the approvers."""

    async def watch_tree(self, peer: UserPeer, request: WatchTree) -> None:
        """Tell of changes from now on."""

    async def watch_relays(self, peer: UserPeer, request: WatchRelays) -> None:
        """Tell which relays it is to carry, from now on."""

    def user_ended(self, peer: UserPeer, message: SessionEnded) -> None:
        """A session is over at its end."""

    def user_left(self, peer: UserPeer, reason: str) -> None:
        """Its connection is gone."""


class UserPeer:
    """The control connection of a user's LM, from its login to its end."""

    def __init__(
        self, events: UserEvents, user_id: str, name: str, certificate: bytes, address: str, since: float
    ) -> None:
        self._events = events
        self.user_id = user_id
        self.name = name
        self.certificate = certificate
        self.certificate_sha256 = certificate_sha256(certificate)
        self.address = address
        self.since = since
        self.channel: Channel[UserToGm]
        self.is_watching = False
        """Whether it wants to be told of changes of the tree."""
        self.listed: set[str] = set()
        """Ids of the appliances that it was shown."""
        self.told: set[tuple[str, str]] = set()
        """Requests whose state it was told."""
        self.carries_relays = False
        self.duties: tuple[RelayDuty, ...] | None = None
        """The relays that it was told to carry."""
        self.relay_states: dict[str, RelayState] = {}
        """What it says of them, by id."""
        self._requests: set[asyncio.Task[None]] = set()

    def start(self, tls: ssl.SSLSocket, keepalive_s: float) -> None:
        """Listen from now on."""
        self.channel = Channel(tls, USER_TO_GM, keepalive_s, self._on_message, self._on_closed)

    def _on_message(self, message: UserToGm) -> None:
        match message:
            case ListAppliances():
                self._answer(message, self._events.list_appliances)
            case Connect():
                self._answer(message, self._events.connect)
            case Disconnect():
                self._answer(message, self._events.disconnect)
            case SessionEnded():
                self._events.user_ended(self, message)
            case RequestAccess():
                self._answer(message, self._events.request_access)
            case WatchTree():
                self._answer(message, self._events.watch_tree)
            case WatchRelays():
                self._answer(message, self._events.watch_relays)
            case RelayStates():
                known = {duty.relay_id for duty in self.duties or ()}
                self.relay_states = {state.relay_id: state for state in message.states if state.relay_id in known}
            case _:
                self.channel.refuse("protocol", "this is not allowed after the login")

    def _on_closed(self, reason: str) -> None:
        for task in self._requests:
            task.cancel()
        self._events.user_left(self, reason)

    def _answer(self, request: R, answer: Callable[[UserPeer, R], Coroutine[Any, Any, None]]) -> None:
        if len(self._requests) >= MAX_REQUESTS:
            text = f"{MAX_REQUESTS} requests are being worked on: wait for an answer first"
            self.channel.send(Refusal(code="busy", text=text, request_id=request.request_id))
            return
        task = asyncio.get_running_loop().create_task(self._work(request, answer))
        self._requests.add(task)
        task.add_done_callback(self._requests.discard)

    async def _work(self, request: R, answer: Callable[[UserPeer, R], Coroutine[Any, Any, None]]) -> None:
        # Whoever hangs up with a request has nothing begun for it: called here, and not before there is a turn.
        request_id = request.request_id
        try:
            await answer(self, request)
        except Refused as error:
            self.channel.send(Refusal(code=error.code, text=str(error)[:512], request_id=request_id))
        except Exception as error:  # noqa: BLE001 - whatever happened, who asked is answered
            _log.error("a request of %s failed: %s: %s", self.name, type(error).__name__, error)
            text = "the GateManager could not do this; its log says why"
            self.channel.send(Refusal(code="failed", text=text, request_id=request_id))

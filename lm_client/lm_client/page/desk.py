"""What the page shows: the agent's state, asked for while somebody looks, and what the user did to the page.

One desk is one home, that is one user at one GateManager. Everything here runs in the page's event loop; questions to
the agent run in threads.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import deque
from collections.abc import AsyncGenerator
from typing import Any, Final, TypeVar

import msgspec

from gatelink.exceptions import GatelinkError, InputError
from lm_client.asking import ask, last_words
from lm_client.core.branches import Branches
from lm_client.core.local import Answer, Appliances, Challenge, Failure, GetAppliances, GetStatus, Request, Status
from lm_client.core.plot import History, Sample
from lm_client.exceptions import AgentError
from lm_client.favourites import Favourites
from lm_client.home import Home
from lm_client.starting import Reply, Starting

BUSY_S: Final = 1.0
"""Between two questions while a session is open; ``QUIET_S`` while none is."""
QUIET_S: Final = 2.0
STALE_S: Final = 0.5
NOTICE_S: Final = 60.0
_MAX_NOTICES: Final = 4
A = TypeVar("A", bound=Answer)


class Notice(msgspec.Struct, frozen=True):
    """Something that is told until the next thing is done, or ``NOTICE_S`` are over."""

    state: str
    text: str
    until: float


class Desk:
    """``watch`` yields each time that something may have changed; it asks the agent while anybody iterates."""

    def __init__(self, home: Home) -> None:
        self.home = home
        self.name = home.profile_name
        self.favourites = Favourites(home)
        self.status: Status | None = None
        self.trouble = ""
        """Why there is no status."""
        self.tree = Branches(())
        self.tree_revision = -1
        self.toggled: set[str] = set()
        self.challenge: Challenge | None = None
        self._notices: deque[Notice] = deque(maxlen=_MAX_NOTICES)
        self.histories: dict[str, History] = {}
        self.version = 0
        """Counts up with everything that makes a page another one than the one that was sent, figures apart."""
        self._starting: Starting | None = None
        self._asked_at = 0.0
        self._watchers = 0
        self._changed = asyncio.Event()
        self._lock = asyncio.Lock()
        self._shown: Any = None

    @property
    def is_watched(self) -> bool:
        """Whether a browser has the page open."""
        return self._watchers > 0

    async def ask(self, request: Request, kind: type[A]) -> A:
        """Ask the agent, in a thread; raises GatelinkError with what it said."""
        return await asyncio.to_thread(ask, self.home, request, kind)

    async def refresh(self, *, at_once: bool = True) -> None:
        """Ask for the state, and for the tree if it is another one. Without ``at_once`` a fresh answer is enough."""
        async with self._lock:
            if not at_once and time.monotonic() - self._asked_at < STALE_S:
                return
            try:
                self.status = await self.ask(GetStatus(), Status)
                self.trouble = ""
                if self.status.revision != self.tree_revision:
                    found = await self.ask(GetAppliances(fresh=False), Appliances)
                    self.tree, self.tree_revision = Branches(found.appliances), found.revision
            except AgentError as error:
                self.status, self.trouble = None, str(error)
                self.tree, self.tree_revision = Branches(()), -1
            except GatelinkError as error:  # the agent is there and the GateManager is not
                self.trouble = str(error)
            self._asked_at = time.monotonic()
            self._note()

    async def watch(self) -> AsyncGenerator[None]:
        """Yield now and after each look at the agent, until the iterator is closed."""
        self._watchers += 1
        try:
            while True:
                await self.refresh(at_once=False)
                yield
                busy = self.status is not None and self.status.sessions
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(BUSY_S if busy else QUIET_S):
                        await self._changed.wait()
                self._changed.clear()
        finally:
            self._watchers -= 1

    def tell(self, text: str, state: str = "good") -> None:
        """Say something on the page."""
        self._notices.append(Notice(state, text, time.monotonic() + NOTICE_S))

    @property
    def notices(self) -> list[Notice]:
        """What is to be told now."""
        return [notice for notice in self._notices if notice.until > time.monotonic()]

    def begin(self) -> None:
        """The user does something: what was told before is read."""
        self._notices.clear()

    def touch(self) -> None:
        """The page is another one now."""
        self.version += 1
        self._changed.set()

    # the login

    async def log_in(self, password: str) -> None:
        """Start the agent. Raises GatelinkError; a challenge is kept for the next page."""
        await asyncio.to_thread(self.give_up)
        self._starting = Starting(self.home)
        self._take(await asyncio.to_thread(self._starting.begin, password))
        await self.refresh()

    async def give_code(self, kind: str, code: str) -> None:
        """Answer the challenge. Raises GatelinkError."""
        if self._starting is None:
            raise InputError("the login took too long: begin again")
        self._take(await asyncio.to_thread(self._starting.give, kind, code))
        await self.refresh()

    async def send_again(self) -> None:
        """Ask for another message."""
        if self._starting is not None:
            self._take(await asyncio.to_thread(self._starting.send_again))

    def give_up(self) -> None:
        """End a login that has begun."""
        starting, self._starting, self.challenge = self._starting, None, None
        if starting is not None:
            starting.close()

    def _take(self, reply: Reply) -> None:
        self.challenge = reply if isinstance(reply, Challenge) else None
        if not isinstance(reply, Challenge):
            self._starting = None
        self.touch()
        if isinstance(reply, Failure):
            raise InputError(reply.text)

    # inside

    def last_words(self) -> str:
        """Return why the last agent ended, if it did not end by itself."""
        return last_words(self.home).strip(" ()")

    def _note(self) -> None:
        """Sample the sessions; count a version up if anything but figures changed."""
        now = time.monotonic()
        sessions = self.status.sessions if self.status else ()
        self.histories = {each.session_id: self.histories.get(each.session_id) or History() for each in sessions}
        for each in sessions:
            sample = Sample(now, each.bytes_sent, each.bytes_received, each.rtt_s)
            self.histories[each.session_id].add(sample)
        shape = (
            self.tree_revision,
            self.status is not None and (self.status.connected, self.status.requests, self.status.user),
            tuple((each.session_id, each.state, each.devices) for each in sessions),
        )
        if shape != self._shown:
            self._shown = shape
            self.version += 1

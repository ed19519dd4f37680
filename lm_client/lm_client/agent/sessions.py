"""All sessions of the agent: which are there, which ask the same thing, which was meant."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Final

from gatelink.exceptions import GatelinkError, InputError
from gatelink.messages import AccessDecided, ApplianceView, ChangeSession, EndSession, Relays
from lm_client.core.local import (
    Access,
    AccessView,
    Appliances,
    AskForAccess,
    ConnectedTo,
    ConnectTo,
    Disconnected,
    Keys,
    SessionView,
)
from lm_client.core.names import NotFound, Target, resolve

from .session import DISCONNECTED, Session
from .surroundings import Surroundings
from .wiring import Wish

_SHOWN_ENDED: Final = 5


class Sessions:
    """Listens to the GateManager for all of them."""

    def __init__(self) -> None:
        self._around: Surroundings | None = None
        self._live: list[Session] = []
        self._staying: set[asyncio.Task[None]] = set()
        self._looking: set[asyncio.Task[None]] = set()
        self._ended: deque[SessionView] = deque(maxlen=_SHOWN_ENDED)
        self.on_login: Callable[[], Awaitable[None]] = _nothing
        """Called after each login."""
        self.on_relays: Callable[[Relays], None] = lambda _message: None
        self.on_tree_change: Callable[[], None] = lambda: None

    def begin(self, around: Surroundings) -> None:
        """From now on sessions can be opened."""
        self._around = around

    @property
    def lines(self) -> list[tuple[str, Callable[[str], None]]]:
        """The own address of each session's line, and how it is given up."""
        return [session.line for session in self._live if session.line]

    @property
    def views(self) -> tuple[SessionView, ...]:
        """The live ones."""
        return tuple(session.view() for session in self._live)

    @property
    def ended_views(self) -> tuple[SessionView, ...]:
        """The last few that are over."""
        return tuple(self._ended)

    @property
    def revision(self) -> int:
        """Of the tree as it is shown."""
        return self._around.tree.revision if self._around else 0

    @property
    def requests(self) -> tuple[AccessView, ...]:
        """What was asked for, and decided."""
        return self._around.tree.requests if self._around else ()

    async def look(self) -> None:
        """Know the tree, so that the first connect need not ask, and be told of changes."""
        tree = self._surroundings.tree
        with contextlib.suppress(GatelinkError):
            await tree.refresh()
        await tree.watch()
        await self.on_login()

    async def list_appliances(self, *, fresh: bool = True) -> Appliances:
        """Return all that the user may see."""
        tree = self._surroundings.tree
        if fresh or not tree.appliances:
            await tree.refresh()
        return await tree.views()

    async def ask_for_access(self, wanted: AskForAccess) -> Access:
        """Ask the approvers. Raises GatelinkError."""
        target = await self._resolve(wanted.target)
        return Access(access=await self._surroundings.tree.ask_for_access(target.appliance, wanted))

    async def connect(self, request: ConnectTo) -> ConnectedTo:
        """Open a session with what is named; the one there is, if it has that already. Raises GatelinkError."""
        started = time.monotonic()
        target = await self._resolve(request.target)
        same = self._covering(target)
        if same is not None and same.mode == ("bridged" if request.bridged else "routed"):
            return ConnectedTo(session=same.view(), already=True, key_is_new=False, warnings=(), took_s=0.0)
        self._check_not_twice(target)
        appliance = target.appliance
        wanted = (target.device_id,) if target.device_id else ()
        session = Session(
            self._surroundings,
            appliance.appliance_id,
            appliance.name,
            wanted,
            request.reason,
            wish=Wish(request.insist, request.bridged, request.plant_address),
        )
        await self._open(session)
        return ConnectedTo(
            session=session.view(),
            already=False,
            key_is_new=session.key_is_new,
            warnings=session.wiring.warnings,
            took_s=time.monotonic() - started,
        )

    async def open_for_relays(self, appliance_id: str, name: str) -> Session:
        """Open a session for the permanent relays with an appliance. Raises GatelinkError."""
        wish = Wish(for_relays=True)
        session = Session(self._surroundings, appliance_id, name, (), "permanent relays", wish=wish)
        await self._open(session)
        return session

    async def disconnect(self, text: str | None) -> Disconnected:
        """End the sessions with what ``text`` names, or all; returns when nothing of them is left."""
        chosen = list(self._live) if text is None else self._named(text)
        for session in chosen:
            session.finish(DISCONNECTED)
        for session in chosen:
            await session.gone.wait()
        return Disconnected(names=tuple(session.name for session in chosen))

    async def keys(self, text: str) -> Keys:
        """Return the remembered and the offered key of an appliance."""
        appliance = (await self._resolve(text)).appliance
        known = self._surroundings.keys.entries.get(appliance.appliance_id)
        return Keys(
            appliance_id=appliance.appliance_id,
            name=appliance.name,
            remembered=known.key_sha256 if known else None,
            offered=known.offered if known else None,
        )

    def trust(self, appliance_id: str, key_sha256: bytes) -> None:
        """Accept the offered key, if it is still the one that was compared. Raises InputError."""
        around = self._surroundings
        known = around.keys.entries.get(appliance_id)
        if known is None or known.offered != key_sha256:
            raise InputError("that is not the key which the SiteManager presented last: connect again, then compare")
        around.keys.remember(appliance_id, known.name, key_sha256)
        around.journal.note(f"session {known.name}: the user accepted its new key")

    # what the GateManager tells

    def session_ended(self, message: EndSession) -> None:
        """A session is over."""
        for session in self._live:
            if session.session_id == message.session_id:
                session.ended_by_gm(message)

    def session_changed(self, message: ChangeSession) -> None:
        """A session's rights are others now."""
        for session in self._live:
            if session.session_id == message.session_id:
                session.changed_by_gm(message)
        self._touch()

    def tree_changed(self) -> None:
        """What may be seen is another now."""
        if self._around is not None:
            self._around.tree.changed()
        self.on_tree_change()

    def relays_told(self, message: Relays) -> None:
        """These are the permanent relays to carry."""
        self.on_relays(message)

    def access_decided(self, message: AccessDecided) -> None:
        """Somebody decided about a request."""
        if self._around is not None:
            self._around.tree.decided(message)

    def logged_in(self) -> None:
        """Another connection: what may be seen can have changed meanwhile, and the watch was the old one's."""
        if self._around is not None:
            looking = asyncio.ensure_future(self.look())
            self._looking.add(looking)
            looking.add_done_callback(self._looking.discard)

    # inside

    @property
    def _surroundings(self) -> Surroundings:
        if self._around is None:
            raise InputError("not logged in yet: wait for `lm login`")
        return self._around

    def _touch(self) -> None:
        """Addresses that were free are taken now, or the other way round."""
        if self._around is not None:
            self._around.tree.touch()

    async def _open(self, session: Session) -> None:
        self._live.append(session)
        try:
            await session.open()
        except BaseException:
            self._live.remove(session)
            raise
        finally:
            self._touch()
        staying = asyncio.ensure_future(self._stay(session))
        self._staying.add(staying)
        staying.add_done_callback(self._staying.discard)

    async def _stay(self, session: Session) -> None:
        try:
            await session.stay()
        finally:
            self._live.remove(session)
            self._ended.append(session.view())
            self._touch()

    async def _resolve(self, text: str) -> Target[ApplianceView]:
        """From what is known already, so that a connect costs one round trip; else from a fresh list."""
        tree = self._surroundings.tree
        try:
            return resolve(text, tree.appliances)
        except NotFound:
            await tree.refresh()
            return resolve(text, tree.appliances)

    def _covering(self, target: Target[ApplianceView]) -> Session | None:
        wanted = _device_ids(target)
        for session in self._live:
            has = {device.device_id for device in session.devices}
            if session.appliance_id == target.appliance.appliance_id and session.state == "up" and wanted <= has:
                return session
        return None

    def _check_not_twice(self, target: Target[ApplianceView]) -> None:
        """Two sessions with one appliance are for two sets of devices; say which one is in the way."""
        for session in self._live:
            if session.appliance_id == target.appliance.appliance_id and session.state == "connecting":
                raise InputError(f"{session.name} is being connected already: wait for it, or interrupt it")
        wanted = _device_ids(target)
        for session in self._live:
            if taken := [device.name for device in session.devices if device.device_id in wanted]:
                state = f"{session.mode}, {session.state}, {session.wiring.interface or 'no adapter'}"
                where = f"the session with {session.name} ({state})"
                raise InputError(f"{taken[0]} belongs to {where} already: `lm disconnect {session.name}` first")

    def _named(self, text: str) -> list[Session]:
        views = [session.view() for session in self._live]
        chosen = resolve(text, views).appliance.appliance_id if views else ""
        found = [session for session in self._live if session.appliance_id == chosen]
        if not found:
            raise InputError(f"there is no session with {text!r}; `lm status` shows those there are")
        return found


async def _nothing() -> None:
    """Stand in where nobody wants to know."""


def _device_ids(target: Target[ApplianceView]) -> set[str]:
    return {target.device_id} if target.device_id else {device.device_id for device in target.appliance.devices}

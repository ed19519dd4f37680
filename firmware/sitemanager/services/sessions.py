"""All sessions of this SiteManager: who may come in, whose time is over, and what is told to the GateManager."""

from __future__ import annotations

import asyncio
import ipaddress
from collections.abc import Callable, Coroutine
from typing import Any, Final

import msgspec

from gatelink.messages import ChangeSession, EndSession, Message, OpenSession, SessionEnded, SessionRefused
from gatelink.tunnel.pump import PumpSettings
from gatelink.wire import KEEPALIVE_S
from sitemanager.core.clock import GmClock
from sitemanager.core.status import SessionStatus

from .network_state import NetworkState
from .session import MAX_TEXT, OpenTunnel, Session

END_DEADLINE_S: Final = 10.0
"""How long the end of the daemon waits for its sessions' ends."""


class SessionSettings(msgspec.Struct, frozen=True):
    """Limits of the configuration."""

    max_sessions: int = 16
    control_grace_s: float = 120.0


class Sessions:
    """The running sessions. ``tell`` takes messages to the GateManager, ``lock_reason`` says why nobody may come in."""

    def __init__(
        self,
        network: NetworkState,
        open_tunnel: OpenTunnel,
        lock_reason: Callable[[], str | None],
        clock: GmClock,
        tell: Callable[[Message], None],
        report: Callable[[str], None],
        settings: SessionSettings | None = None,
    ) -> None:
        self._network = network
        self._open_tunnel = open_tunnel
        self._lock_reason = lock_reason
        self._clock = clock
        self._tell = tell
        self._report = report
        self._settings = settings or SessionSettings()
        self._loop = asyncio.get_running_loop()
        self._sessions: dict[str, Session] = {}
        self._ends_at: dict[str, float | None] = {}
        self._began: dict[str, float] = {}
        self._closing = False
        self._told: set[str] = set()
        """Sessions whose end was told before it was complete."""
        self._timers: dict[str, asyncio.TimerHandle] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._grace: asyncio.TimerHandle | None = None
        self.keepalive_s = KEEPALIVE_S
        """Of the tunnels that are opened from now on."""

    def open(self, message: OpenSession) -> None:
        """Begin a session, or refuse it."""
        identifier = message.session_id
        if identifier in self._sessions:
            self._report(f"session {identifier} was announced twice; the second announcement is ignored")
            return
        refusal = self._refusal(message)
        if refusal is not None:
            self._tell_refused(refusal)
            return
        after = self._make_way(message)
        session = Session(message, self._network, self._report)
        self._sessions[identifier] = session
        self._began[identifier] = self._loop.time()
        self._ends_at[identifier] = message.ends_at
        self._arm(identifier)
        names = ", ".join(device.name for device in message.devices)
        self._report(f"session {identifier} of {message.user} opening to {names or 'nothing'}: {message.reason or '-'}")
        self._spawn(self._run(session, after))

    def change(self, message: ChangeSession) -> None:
        """Put new grants in force."""
        session = self._sessions.get(message.session_id)
        if session is None:
            self._tell_unknown(message.session_id)
            return
        self._ends_at[message.session_id] = message.ends_at
        self._arm(message.session_id)
        self._report(f"session {message.session_id} changed: {len(message.devices)} devices")
        self._spawn(session.change(message.devices))

    def end(self, message: EndSession) -> None:
        """End a session at the GateManager's word; one that is not here has ended."""
        session = self._sessions.get(message.session_id)
        if session is None:
            self._tell_unknown(message.session_id)
        else:
            session.stop(f"the GateManager ended it: {message.reason}")

    def stop_all(self, reason: str) -> None:
        """End every session at once, for a reason of our own."""
        for session in list(self._sessions.values()):
            self._stop(session, reason)

    async def close(self, reason: str) -> None:
        """End every session, let none in, and wait until nothing of them is left, at most ``END_DEADLINE_S``."""
        self._closing = True
        self.control_is_back()
        self.stop_all(reason)
        while self._tasks:
            _, late = await asyncio.wait(self._tasks, timeout=END_DEADLINE_S)
            for task in late:
                task.cancel()

    def lock_changed(self) -> None:
        """Look at the lock; if remote access is locked now, no session goes on."""
        reason = self._lock_reason()
        if reason is not None:
            self.stop_all(f"remote access was locked at the machine ({reason})")

    def control_is_lost(self) -> None:
        """Sessions go on for a while: they have connections of their own."""
        if self._grace is None:
            self._grace = self._loop.call_later(self._settings.control_grace_s, self._grace_is_over)

    def control_is_back(self) -> None:
        """The GateManager can end sessions again; its clock may have been told anew."""
        if self._grace is not None:
            self._grace.cancel()
            self._grace = None
        for identifier in self._sessions:
            self._arm(identifier)

    def status(self, now: float) -> tuple[SessionStatus, ...]:
        """Return all sessions; ``now`` is Unix time."""
        return tuple(self._status(identifier, session, now) for identifier, session in self._sessions.items())

    def _status(self, identifier: str, session: Session, now: float) -> SessionStatus:
        sent, received = session.bytes_carried
        return SessionStatus(
            session_id=identifier,
            user=session.message.user,
            reason=session.message.reason,
            phase=session.phase,
            interface=session.interface,
            since=now - (self._loop.time() - self._began[identifier]),
            ends_at=self._ends_at[identifier],
            bytes_sent=sent,
            bytes_received=received,
            devices=tuple(f"{device.name} ({device.address})" for device in session.devices),
        )

    def _stop(self, session: Session, reason: str) -> None:
        """End a session for a reason of our own, and tell it first: else the GateManager sees but a broken leg."""
        identifier = session.message.session_id
        if session.phase == "open" and identifier not in self._told:
            self._told.add(identifier)
            sent, received = session.bytes_carried
            reason = reason[:MAX_TEXT]
            ended = SessionEnded(session_id=identifier, reason=reason, bytes_sent=sent, bytes_received=received)
            self._tell(ended)
        session.stop(reason)

    def _refusal(self, message: OpenSession) -> SessionRefused | None:
        if self._closing:
            return SessionRefused(session_id=message.session_id, code="stopping", text="this SiteManager is stopping")
        reason = self._lock_reason()
        if reason is not None:
            text = f"remote access is locked at the machine ({reason})"
            return SessionRefused(session_id=message.session_id, code="locked", text=text[:MAX_TEXT])
        staying = len(self._sessions) - len(self._in_the_way(message))
        if staying >= self._settings.max_sessions:
            text = f"this SiteManager has {staying} sessions already, as many as it may; end one of them"
            return SessionRefused(session_id=message.session_id, code="too-many-sessions", text=text)
        return None

    def _in_the_way(self, message: OpenSession) -> list[Session]:
        return [other for other in self._sessions.values() if _overlap(other.message, message)]

    def _make_way(self, message: OpenSession) -> list[Session]:
        """A resumed session comes with the addresses of the one that broke: the old one goes first."""
        after = self._in_the_way(message)
        for other in after:
            other.stop(f"session {message.session_id} takes its place")
        return after

    async def _run(self, session: Session, after: list[Session]) -> None:
        identifier = session.message.session_id
        try:
            outcome = await session.run(after, self._open_tunnel, PumpSettings(keepalive_s=self.keepalive_s))
        except Exception as error:  # noqa: BLE001 - a fault in one session is told, and touches no other
            outcome = SessionEnded(session_id=identifier, reason=f"internal error: {error!r}"[:MAX_TEXT])
        finally:
            for book in (self._sessions, self._began, self._ends_at):
                book.pop(identifier, None)
            timer = self._timers.pop(identifier, None)
            if timer is not None:
                timer.cancel()
        if isinstance(outcome, SessionRefused):
            self._tell_refused(outcome)
        else:
            counted = f"{outcome.bytes_sent} bytes sent, {outcome.bytes_received} received"
            self._report(f"session {identifier} ended: {outcome.reason}; {counted}")
            if identifier not in self._told:
                self._tell(outcome)
            self._told.discard(identifier)

    def _arm(self, identifier: str) -> None:
        timer = self._timers.pop(identifier, None)
        if timer is not None:
            timer.cancel()
        ends_at = self._ends_at[identifier]
        now = self._clock.gm_now(self._loop.time())
        if ends_at is not None and now is not None:
            session = self._sessions[identifier]
            left_s = max(0.0, ends_at - now)
            self._timers[identifier] = self._loop.call_later(left_s, self._stop, session, "its time is over")

    def _grace_is_over(self) -> None:
        self._grace = None
        self.stop_all(f"the control connection was lost for {self._settings.control_grace_s:.0f} s")

    def _tell_refused(self, refusal: SessionRefused) -> None:
        self._report(f"session {refusal.session_id} refused: {refusal.text}")
        self._tell(refusal)

    def _tell_unknown(self, session_id: str) -> None:
        self._tell(SessionEnded(session_id=session_id, reason="there is no such session here"))

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def _overlap(one: OpenSession, other: OpenSession) -> bool:
    try:
        segments = [
            ipaddress.IPv4Network((message.tunnel.gateway, message.tunnel.prefix_length), strict=False)
            for message in (one, other)
        ]
    except ValueError:
        return False
    return segments[0].overlaps(segments[1])

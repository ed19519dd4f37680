"""Whether anybody may come in: the owner's lock, a consent for some minutes, a key switch. Closed in doubt.

A consent lives in memory and on a clock that nobody sets: a restart ends it. The key switch is above both: nothing on
the page, and nothing that the GateManager says, opens what it locks.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from sitemanager.core.local import Caller
from sitemanager.core.local_requests import LockRequest
from sitemanager.exceptions import StateError
from sitemanager.host.lock import RemoteAccessLock


class RemoteAccess:
    """Says why nobody may come in. ``listeners`` hear of every change."""

    def __init__(
        self, lock: RemoteAccessLock, report: Callable[[str], None], record: Callable[[str, str], None]
    ) -> None:
        self._lock = lock
        self._report = report
        self._record = record
        self._consent: asyncio.TimerHandle | None = None
        self._said: str | None = None
        self.switch_reason: Callable[[], str | None] = lambda: None
        """Why the key switch locks; None if it does not, or there is none."""
        self.listeners: list[Callable[[], None]] = []

    def reason(self) -> str | None:
        """Return why remote access is locked; None if it is allowed. Never raises."""
        switch = self.switch_reason()
        if switch is not None:
            return switch
        return None if self._consent is not None else self._lock.reason()

    @property
    def consent_left_s(self) -> float | None:
        """Seconds until a consent ends; None without one."""
        if self._consent is None:
            return None
        return max(0.0, self._consent.when() - asyncio.get_running_loop().time())

    def set(self, request: LockRequest, caller: Caller) -> None:
        """Lock, allow, or allow for some minutes. Raises StateError; remote access is then locked."""
        self._end_consent()
        if request.locked or request.minutes is not None:
            try:
                self._lock.set(locked=True)
            except StateError:
                self.changed()
                raise
            if not request.locked and request.minutes is not None:
                loop = asyncio.get_running_loop()
                self._consent = loop.call_later(request.minutes * 60.0, self._consent_is_over)
        else:
            self._lock.set(locked=False)
        words = "locked" if request.locked else "allowed"
        if request.minutes is not None and not request.locked:
            words = f"allowed for {request.minutes} minutes"
        self._record("remote-access", f"remote access {words} by {caller.name}")
        self.changed()

    def changed(self) -> None:
        """Look at the lock again; whoever has to act on it hears of it."""
        reason = self.reason()
        self._report(f"remote access: {reason or 'allowed'}")
        for listener in self.listeners:
            listener()

    def close(self) -> None:
        """Forget a consent."""
        self._end_consent()

    def _end_consent(self) -> None:
        if self._consent is not None:
            self._consent.cancel()
            self._consent = None

    def _consent_is_over(self) -> None:
        self._consent = None
        self._record("remote-access", "the time for which remote access was allowed is over: it is locked")
        self.changed()

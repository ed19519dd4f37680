"""Logins on the set-up page, kept by the daemon: the page's process can ask nothing for which nobody logged in.

A session is 32 random bytes in the browser's cookie; the daemon knows their hash. It ends after half an hour without a
request, after twelve hours, with a logout, with a new password and with the daemon. Each step has a session of its own:
the one by which a password is chosen is good for nothing else.
"""

from __future__ import annotations

import asyncio
import hashlib
import secrets
from collections.abc import Callable
from typing import Final, TypeVar

import msgspec

from gatelink.exceptions import InputError
from sitemanager.core.local import Caller, DoneAnswer, PageVisit
from sitemanager.core.local_requests import (
    ChoosePasswordRequest,
    LoginAnswer,
    LoginRequest,
    LogoutRequest,
    VisitAnswer,
    VisitRequest,
)
from sitemanager.core.throttle import Throttle
from sitemanager.host import times
from sitemanager.host.page_secret import PageSecret

from .desk import Desk

T = TypeVar("T")
IDLE_S: Final = 30 * 60.0
LONGEST_S: Final = 12 * 3600.0
MOST_SESSIONS: Final = 64


class _Session(msgspec.Struct):
    must_choose: bool
    began: float
    used: float


class PageLogin:
    """Registers itself at the desk, which asks it who is logged in."""

    def __init__(
        self,
        secret: PageSecret,
        report: Callable[[str], None],
        record: Callable[[str, str], None],
        now: Callable[[], float] = times.steady_s,
    ) -> None:
        self._secret = secret
        self._report = report
        self._record = record
        self._now = now
        self._throttle = Throttle()
        self._sessions: dict[bytes, _Session] = {}
        self._turn = asyncio.Lock()

    def register(self, desk: Desk) -> None:
        """Answer the page's questions."""
        desk.register(LoginRequest, self._login, access="anybody", deadline_s=30)
        desk.register(ChoosePasswordRequest, self._choose, access="anybody", deadline_s=30)
        desk.register(LogoutRequest, self._logout, access="anybody")
        desk.register(VisitRequest, self._visit, access="anybody")

    def is_logged_in(self, visit: PageVisit) -> bool:
        """Whether the browser has a good session that may do everything; it goes on with this."""
        session = self._find(visit.session)
        if session is None or session.must_choose:
            return False
        session.used = self._now()
        return True

    @property
    def is_new(self) -> bool:
        """Whether nobody chose a password yet."""
        return self._secret.is_new

    def forget_everybody(self) -> None:
        """End every session."""
        self._sessions.clear()

    async def _login(self, request: LoginRequest, caller: Caller) -> LoginAnswer:
        await self._check(request.password, caller, "the password is wrong")
        must_choose = self._secret.is_new
        self._report(f"login on the set-up page from {caller.address or 'this host'}")
        return LoginAnswer(session=self._begin(must_choose=must_choose), must_choose=must_choose)

    async def _choose(self, request: ChoosePasswordRequest, caller: Caller) -> LoginAnswer:
        session = self._find(caller.session)
        if session is None:
            raise InputError("log in first")
        if not session.must_choose:
            await self._check(request.current, caller, "the present password is wrong")
        await self._in_thread(lambda: self._secret.choose(request.password))
        self.forget_everybody()
        self._record("page-password", f"the password of the set-up page was chosen from {caller.address}")
        return LoginAnswer(session=self._begin(must_choose=False), must_choose=False)

    def _logout(self, request: LogoutRequest, caller: Caller) -> DoneAnswer:
        del request
        self._sessions.pop(_digest(caller.session), None)
        return DoneAnswer()

    def _visit(self, request: VisitRequest, caller: Caller) -> VisitAnswer:
        del request
        session = self._find(caller.session)
        must_choose = session is not None and session.must_choose
        return VisitAnswer(logged_in=session is not None and not must_choose, must_choose=must_choose)

    async def _check(self, word: str, caller: Caller, refusal: str) -> None:
        now = self._now()
        wait_s = self._throttle.wait_s(caller.address, now)
        if wait_s > 0:
            raise InputError(f"too many wrong attempts: wait {wait_s:.0f} s, then try again")
        self._throttle.attempt(caller.address, now)
        if not await self._in_thread(lambda: self._secret.check(word)):
            self._record("page-login", f"a wrong password on the set-up page, from {caller.address or 'this host'}")
            raise InputError(refusal)
        self._throttle.good(caller.address)

    async def _in_thread(self, work: Callable[[], T]) -> T:
        async with self._turn:
            return await asyncio.get_running_loop().run_in_executor(None, work)

    def _begin(self, *, must_choose: bool) -> str:
        now = self._now()
        for key in [key for key, session in self._sessions.items() if self._is_over(session)]:
            del self._sessions[key]
        while len(self._sessions) >= MOST_SESSIONS:
            del self._sessions[min(self._sessions, key=lambda key: self._sessions[key].used)]
        word = secrets.token_urlsafe(32)
        self._sessions[_digest(word)] = _Session(must_choose, now, now)
        return word

    def _find(self, word: str) -> _Session | None:
        session = self._sessions.get(_digest(word))
        return None if session is None or self._is_over(session) else session

    def _is_over(self, session: _Session) -> bool:
        now = self._now()
        return now - session.used > IDLE_S or now - session.began > LONGEST_S


def _digest(word: str) -> bytes:
    return hashlib.sha256(word.encode(errors="replace")).digest()

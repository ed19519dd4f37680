"""Where requests on the local socket find who answers them: the one place to register at.

    desk.register(StatusRequest, self._status)                                 # a technician who logged in on the page
    desk.register(ScanRequest, self._scan, deadline_s=120)                     # a coroutine that takes its time
    desk.register(SecretRequest, self._secret, access="owner")                 # never the page

A handler gets the request and the ``Caller``; what it returns is the answer, a GatelinkError becomes a ``Failure``.
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable, Callable
from typing import Any, Final, TypeVar

import msgspec

from gatelink.exceptions import GatelinkError
from sitemanager.core.local import Access, Caller, Envelope, Failure, LocalAnswer, LocalRequest, PageVisit, tag_of

R = TypeVar("R", bound=LocalRequest)
Handler = Callable[[R, Caller], LocalAnswer | Awaitable[LocalAnswer]]
USUAL_DEADLINE_S: Final = 10.0
_RANKS: Final[dict[Access, int]] = {"anybody": 0, "technician": 1, "owner": 2}


class _Command(msgspec.Struct):
    command: str


class _Entry(msgspec.Struct):
    kind: type[LocalRequest]
    handler: Callable[[Any, Caller], LocalAnswer | Awaitable[LocalAnswer]]
    access: Access
    deadline_s: float


class Desk:
    """Answers lines of JSON. ``is_logged_in`` judges the sessions of the set-up page."""

    def __init__(self, is_logged_in: Callable[[PageVisit], bool]) -> None:
        self._is_logged_in = is_logged_in
        self._entries: dict[str, _Entry] = {}

    def register(
        self, kind: type[R], handler: Handler[R], *, access: Access = "technician", deadline_s: float = USUAL_DEADLINE_S
    ) -> None:
        """Answer requests of this kind, asked by ``access`` or more; a command is registered once."""
        command = tag_of(kind)
        if command in self._entries:
            raise ValueError(f"two parts want to answer {command!r}")
        self._entries[command] = _Entry(kind, handler, access, deadline_s)

    @property
    def commands(self) -> dict[str, Access]:
        """Who may ask what."""
        return {command: entry.access for command, entry in self._entries.items()}

    async def answer(self, line: bytes, *, is_owner: bool) -> LocalAnswer:
        """Answer one line. ``is_owner``: the program that asks runs as root or as the daemon's user."""
        try:
            envelope = msgspec.json.decode(line, type=Envelope)
            command = msgspec.json.decode(envelope.request, type=_Command).command
            entry = self._entries.get(command)
            if entry is None:
                return Failure(text=f"the daemon knows no {command[:60]!r}; is it of another version?", code="unknown")
            request = msgspec.json.decode(envelope.request, type=entry.kind)
        except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
            return Failure(text=f"not a request that is known here: {error}", code="unknown")
        caller = self._caller(envelope.page, is_owner=is_owner)
        if _RANKS[caller.access] < _RANKS[entry.access]:
            if entry.access == "technician":
                return Failure(text="log in first", code="login")
            return Failure(text=f"the set-up page may not ask for {command!r}", code="not-allowed")
        return await self._handled(entry, request, caller)

    def _caller(self, page: PageVisit | None, *, is_owner: bool) -> Caller:
        if page is None:
            return Caller("owner" if is_owner else "anybody")
        return Caller("technician" if self._is_logged_in(page) else "anybody", page.address, page.session)

    async def _handled(self, entry: _Entry, request: LocalRequest, caller: Caller) -> LocalAnswer:
        try:
            result = entry.handler(request, caller)
            if inspect.isawaitable(result):
                async with asyncio.timeout(entry.deadline_s):
                    return await result
        except GatelinkError as error:
            return Failure(text=str(error))
        except TimeoutError:
            return Failure(text=f"the daemon could not do it within {entry.deadline_s:.0f} s; try again")
        else:
            return result

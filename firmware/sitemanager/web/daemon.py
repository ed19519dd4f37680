"""The page's end of the local socket: asks in the name of the browser behind it."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Final, TypeVar

import msgspec

from gatelink.exceptions import GatelinkError
from sitemanager.core.local import MAX_ANSWER_BYTES, SOCKET_NAME, Failure, LocalAnswer, LocalRequest, PageVisit

A = TypeVar("A", bound=LocalAnswer)
TIMEOUT_S: Final = 40.0


class DaemonAway(GatelinkError):
    """The daemon does not run, or does not answer."""


class LoginNeeded(GatelinkError):
    """Nobody is logged in with this cookie."""


class NotDone(GatelinkError):
    """The daemon said no, with a line for people."""


class NotThere(NotDone):
    """This daemon has no such part."""


class DaemonLink:
    """Asks the daemon of one runtime directory."""

    def __init__(self, runtime: Path) -> None:
        self._path = runtime / SOCKET_NAME

    async def ask(self, visit: PageVisit, request: LocalRequest, kind: type[A], *, timeout_s: float = TIMEOUT_S) -> A:
        """Return the daemon's answer. Raises DaemonAway, LoginNeeded, NotDone."""
        envelope = {"request": request, "page": visit}
        try:
            async with asyncio.timeout(timeout_s):
                reader, writer = await asyncio.open_unix_connection(self._path, limit=MAX_ANSWER_BYTES)
                try:
                    writer.write(msgspec.json.encode(envelope) + b"\n")
                    line = await reader.readline()
                finally:
                    writer.close()
            answer: A | Failure = msgspec.json.decode(line, type=kind | Failure)
        except (OSError, ValueError, TimeoutError, msgspec.DecodeError):
            raise DaemonAway("the SiteManager's program does not answer") from None
        if isinstance(answer, Failure):
            match answer.code:
                case "login":
                    raise LoginNeeded(answer.text)
                case "unknown":
                    raise NotThere(answer.text)
                case _:
                    raise NotDone(answer.text)
        return answer

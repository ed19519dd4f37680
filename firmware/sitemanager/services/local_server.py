"""The local socket, by which ``sm`` commands and the set-up page reach the daemon.

One line of JSON in, one line out. Everybody on this host may connect; the kernel says who it is (SO_PEERCRED): root
and the daemon's own user may ask everything, the page's user what a page may, all others nothing.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import pwd
import socket
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Final

import msgspec

from sitemanager.core.local import MAX_REQUEST_BYTES, SOCKET_NAME, Failure, LocalAnswer
from sitemanager.exceptions import DaemonError

from .desk import Desk

TIMEOUT_S: Final = 5.0
"""For the request to come, and for the answer to be taken: whoever connects must not cost anything."""
MOST_CALLERS: Final = 32
_UCRED: Final = struct.Struct("3i")


class LocalServer:
    """Answers on the socket in the runtime directory. ``page_user`` may not exist: then there is no page here."""

    def __init__(self, runtime: Path, desk: Desk, page_user: str, report: Callable[[str], None]) -> None:
        self._path = runtime / SOCKET_NAME
        self._desk = desk
        self._page_uid = _uid_of(page_user)
        self._report = report
        self._callers = 0
        self._server: asyncio.Server | None = None

    async def start(self) -> None:
        """Listen; an old socket is replaced. Raises DaemonError."""
        try:
            self._path.unlink(missing_ok=True)
            listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            before = os.umask(0o111)
            try:
                listener.bind(str(self._path))
            finally:
                os.umask(before)
        except OSError as error:
            raise DaemonError(f"cannot listen on {self._path}: {error.strerror or error}") from None
        self._server = await asyncio.start_unix_server(self._serve, sock=listener, limit=MAX_REQUEST_BYTES, backlog=16)

    async def stop(self) -> None:
        """Stop listening."""
        if self._server is not None:
            self._server.close()
            with contextlib.suppress(OSError):
                self._path.unlink(missing_ok=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            uid = _peer_uid(writer.get_extra_info("socket"))
            is_owner = uid in (0, os.geteuid())
            if (not is_owner and uid != self._page_uid) or self._callers >= MOST_CALLERS:
                return
            self._callers += 1
            try:
                async with asyncio.timeout(TIMEOUT_S):
                    line = await reader.readline()
                answer = await self._answer(line, is_owner=is_owner)
                async with asyncio.timeout(TIMEOUT_S):
                    writer.write(msgspec.json.encode(answer) + b"\n")
                    await writer.drain()
            finally:
                self._callers -= 1
        except (OSError, ValueError, TimeoutError):
            pass
        finally:
            writer.close()

    async def _answer(self, line: bytes, *, is_owner: bool) -> LocalAnswer:
        try:
            return await self._desk.answer(line, is_owner=is_owner)
        except Exception as error:  # noqa: BLE001 - a fault in one answer is told, and ends no daemon
            self._report(f"internal error in an answer: {error!r}")
            return Failure(text="internal error; the log says more")


def _peer_uid(connection: socket.socket) -> int:
    data = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _UCRED.size)
    return int(_UCRED.unpack(data)[1])


def _uid_of(user: str) -> int | None:
    try:
        return pwd.getpwnam(user).pw_uid
    except KeyError:
        return None

"""The local socket, by which ``sm status``, ``sm lock`` and ``sm unlock`` reach the daemon. Its owner and root only.

One line of JSON in, one line out. Bounded: whoever can connect is trusted, but a stuck client must not cost anything.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Final

import msgspec

from gatelink.exceptions import GatelinkError
from sitemanager.core.status import SOCKET_NAME, Answer, Failure, Request, Status
from sitemanager.exceptions import DaemonError

MAX_REQUEST_BYTES: Final = 4096
TIMEOUT_S: Final = 5.0


class LocalServer:
    """Answers on the socket in the runtime directory."""

    def __init__(self, runtime: Path, answer: Callable[[Request], Status]) -> None:
        self._path = runtime / SOCKET_NAME
        self._answer = answer
        self._server: asyncio.Server | None = None

    async def start(self) -> None:
        """Listen; an old socket is replaced. Raises DaemonError."""
        try:
            self._path.unlink(missing_ok=True)
            listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            # Nobody may connect between bind and chmod.
            before = os.umask(0o177)
            try:
                listener.bind(str(self._path))
            finally:
                os.umask(before)
        except OSError as error:
            raise DaemonError(f"cannot listen on {self._path}: {error.strerror or error}") from None
        self._server = await asyncio.start_unix_server(self._serve, sock=listener, limit=MAX_REQUEST_BYTES, backlog=8)

    async def stop(self) -> None:
        """Stop listening."""
        if self._server is not None:
            self._server.close()
            with contextlib.suppress(OSError):
                self._path.unlink(missing_ok=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(TIMEOUT_S):
                line = await reader.readline()
                writer.write(msgspec.json.encode(self._reply(line)) + b"\n")
                await writer.drain()
        except (OSError, ValueError, TimeoutError):
            pass
        finally:
            writer.close()

    def _reply(self, line: bytes) -> Answer:
        try:
            return self._answer(msgspec.json.decode(line, type=Request))
        except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
            return Failure(f"not a request that is known here: {error}")
        except GatelinkError as error:
            return Failure(str(error))

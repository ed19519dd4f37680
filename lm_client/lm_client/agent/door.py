"""The agent's Unix socket: one request and one answer a connection, from the same user alone."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
import socket
import struct
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Final

import msgspec

from gatelink.exceptions import GatelinkError, InputError
from lm_client.core.local import Answer, Failure, Request, decode_request, frame
from lm_client.exceptions import AgentError

_MAX_REQUEST_BYTES: Final = 64 * 1024
_REQUEST_TIMEOUT_S: Final = 5.0
_ucred = struct.Struct("3i")
Handle = Callable[[Request], Awaitable[Answer]]


class Lock:
    """Held while the agent runs; the kernel lets go of it when the process dies. Raises AgentError if it is held."""

    def __init__(self, path: Path) -> None:
        self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(self._descriptor)
            raise AgentError("an agent is running already: `lm logout` ends it") from None

    def release(self) -> None:
        """Let the next one in."""
        os.close(self._descriptor)


class Door:
    """Listens between ``open`` and ``close``."""

    def __init__(self, path: Path, handle: Handle) -> None:
        self._path = path
        self._handle = handle
        self._server: asyncio.Server | None = None

    async def open(self) -> None:
        """Make the socket, for its owner alone. Raises AgentError."""
        listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._path.unlink(missing_ok=True)
            before = os.umask(0o177)
            try:
                listening.bind(str(self._path))
            finally:
                os.umask(before)
            self._server = await asyncio.start_unix_server(self._serve, sock=listening)
        except OSError as error:
            listening.close()
            raise AgentError(f"cannot listen on {self._path}: {error.strerror}") from None

    async def close(self) -> None:
        """Remove the socket."""
        if self._server is not None:
            self._server.close()
            await self._server.wait_closed()
            self._path.unlink(missing_ok=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            connection: socket.socket = writer.get_extra_info("socket")
            _, uid, _ = _ucred.unpack(connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _ucred.size))
            if uid in (0, os.geteuid()):
                async with asyncio.timeout(_REQUEST_TIMEOUT_S):
                    request = await _receive(reader)
                writer.write(frame(await self._answer(request, reader)))
                await writer.drain()
        except (OSError, EOFError, TimeoutError, msgspec.MsgspecError):
            pass  # whoever asked has gone, or does not speak our language
        finally:
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()

    async def _answer(self, request: Request, reader: asyncio.StreamReader) -> Answer:
        """Handle it, unless the command is interrupted: then it is called off."""
        handling = asyncio.ensure_future(_failures(self._handle(request)))
        gone = asyncio.ensure_future(reader.read(1))
        try:
            await asyncio.wait({handling, gone}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            gone.cancel()
            if not handling.done():
                handling.cancel()
                await asyncio.wait({handling})
        if handling.cancelled():
            raise EOFError
        return handling.result()


async def _failures(handling: Awaitable[Answer]) -> Answer:
    try:
        return await handling
    except InputError as error:
        return Failure(kind="input", text=str(error))
    except GatelinkError as error:
        return Failure(kind="failed", text=str(error))


async def _receive(reader: asyncio.StreamReader) -> Request:
    (size,) = struct.unpack("!I", await reader.readexactly(4))
    if not 0 < size <= _MAX_REQUEST_BYTES:
        raise EOFError
    return decode_request(await reader.readexactly(size))

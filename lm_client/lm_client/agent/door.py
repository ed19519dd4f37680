"""Where the agent is spoken to: one request and one answer a connection, from the same user alone.

A Unix socket in the event loop; ``ThreadDoor`` serves any kind of stream, with a thread for each, for Windows' pipes.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import struct
import sys
import threading
from collections.abc import Awaitable, Callable
from concurrent.futures import CancelledError, Future
from pathlib import Path
from typing import Final

import msgspec

from gatelink.exceptions import GatelinkError, InputError, ProtocolError
from gatelink.frames import FrameReader
from lm_client.core.local import Answer, Failure, Request, decode_request, frame
from lm_client.exceptions import AgentError
from lm_client.streams import Caller, Endpoint, Stream, listen

_MAX_REQUEST_BYTES: Final = 64 * 1024
_REQUEST_TIMEOUT_S: Final = 5.0
_MAX_ASKING: Final = 64
_LOOK_S: Final = 0.25
"""Between two looks whether who asked is still there."""
_ucred = struct.Struct("3i")
Handle = Callable[[Request], Awaitable[Answer]]


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
        handling = asyncio.ensure_future(_failures(self._handle, request))
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


class ThreadDoor:
    """The same over ``lm_client.streams``. ``own`` are the users who may ask."""

    def __init__(self, path: Path, handle: Handle, own: Callable[[Caller], bool]) -> None:
        self._path = path
        self._handle = handle
        self._own = own
        self._endpoint: Endpoint | None = None
        self._places = threading.BoundedSemaphore(_MAX_ASKING)

    async def open(self) -> None:
        """Listen. Raises AgentError."""
        try:
            self._endpoint = listen(self._path, for_everybody=False)
        except OSError as error:
            raise AgentError(f"cannot listen on {self._path}: {error.strerror}") from None
        loop = asyncio.get_running_loop()
        threading.Thread(target=self._accept, args=(self._endpoint, loop), name="door", daemon=True).start()

    async def close(self) -> None:
        """Listen no more. Who asks meanwhile is hung up on when the process ends."""
        if self._endpoint is not None:
            self._endpoint.close()
            self._endpoint = None

    def _accept(self, endpoint: Endpoint, loop: asyncio.AbstractEventLoop) -> None:
        with contextlib.suppress(OSError):
            while True:
                stream = endpoint.accept()
                if self._places.acquire(blocking=False):
                    threading.Thread(target=self._serve, args=(stream, loop), name="asking", daemon=True).start()
                else:
                    stream.close()

    def _serve(self, stream: Stream, loop: asyncio.AbstractEventLoop) -> None:
        try:
            if not self._own(stream.caller):
                return
            stream.settimeout(_REQUEST_TIMEOUT_S)
            request = _receive_from(stream)
            answer = self._wait(stream, asyncio.run_coroutine_threadsafe(_failures(self._handle, request), loop))
            if answer is not None:
                stream.sendall(frame(answer))
        except (OSError, EOFError, RuntimeError, msgspec.MsgspecError, ProtocolError):
            pass  # whoever asked has gone, or does not speak our language; RuntimeError: the loop has ended
        finally:
            stream.close()
            self._places.release()

    def _wait(self, stream: Stream, handling: Future[Answer]) -> Answer | None:
        """Return the answer; None if the command was interrupted: then it is called off."""
        while True:
            try:
                return handling.result(_LOOK_S)
            except CancelledError:
                return None
            except TimeoutError:
                if not stream.is_alive():
                    handling.cancel()
                    return None


def make_door(path: Path, handle: Handle) -> Door | ThreadDoor:
    """Return the door for this system."""
    if sys.platform == "win32":
        from lm_client.host.windows.dlls import load
        from lm_client.host.windows.security import SYSTEM, Security

        own = {Security(load("advapi32"), load("kernel32")).own_sid(), SYSTEM}
        return ThreadDoor(path, handle, own.__contains__)
    return Door(path, handle)


async def _failures(handle: Handle, request: Request) -> Answer:
    try:
        return await handle(request)
    except InputError as error:
        return Failure(kind="input", text=str(error))
    except GatelinkError as error:
        return Failure(kind="failed", text=str(error))


def _receive_from(stream: Stream) -> Request:
    reader = FrameReader(_MAX_REQUEST_BYTES)
    while data := stream.recv(_MAX_REQUEST_BYTES):
        for payload in reader.receive_data(data):
            return decode_request(payload)
    raise EOFError


async def _receive(reader: asyncio.StreamReader) -> Request:
    (size,) = struct.unpack("!I", await reader.readexactly(4))
    if not 0 < size <= _MAX_REQUEST_BYTES:
        raise EOFError
    return decode_request(await reader.readexactly(size))

"""Brings a bundle from the GateManager: piece by piece over the control connection, from where the file ends.

Parses what a GateManager sends: never more than was offered, nothing behind what was asked. What a pulled plug left of
the file may be wrong; the digest tells at the end, and then it is fetched once more from the start.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import itertools
import os
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Final

from gatelink.exceptions import GatelinkError, LinkError
from gatelink.messages import FirmwareChunk, FirmwareFetch, Refusal, Welcome
from gatelink.messages.appliance import MAX_CHUNK_BYTES
from sitemanager.core.updates import MIB, Update
from sitemanager.exceptions import StateError
from sitemanager.services.gm_line import GmLine

AHEAD: Final = 4
"""Pieces asked for at a time: at a round trip of 200 ms about 600 kB/s, and never more than 128 KiB in a queue."""
TIMEOUT_S: Final = 60.0
"""For one piece; then the connection is asked anew."""
BUSY_S: Final = 5.0
"""Before a GateManager is asked again that said it is busy."""
SYNC_BYTES: Final = MIB
_FIRST_ID: Final = 1 << 20
"""Request numbers of pieces are apart from those of other requests."""


class Withdrawn(GatelinkError):
    """The GateManager does not offer this bundle any more."""


class _Busy(GatelinkError):
    """The GateManager has too much to do to send a piece now."""


class Fetching:
    """One for the daemon; ``fetch`` runs once at a time."""

    def __init__(self, line: GmLine, timeout_s: float = TIMEOUT_S) -> None:
        self._line = line
        self._timeout_s = timeout_s
        self._numbers = itertools.count(_FIRST_ID)
        self._asked: dict[int, asyncio.Future[bytes]] = {}
        self._back = asyncio.Event()
        line.on(FirmwareChunk, self._came)
        line.on(Refusal, self._refused)
        line.on_connected(self._connected)

    async def fetch(self, update: Update, path: Path, progress: Callable[[int], None]) -> bool:
        """Bring the bundle; whether its digest is right. Raises Withdrawn, StateError.

        Waits for a connection as long as it takes; ``progress`` gets percents.
        """
        try:
            while True:
                offset = await asyncio.to_thread(_usable_bytes, path, update.size_bytes)
                if offset >= update.size_bytes:
                    break
                self._back.clear()
                try:
                    await self._pieces(update, path, offset, progress)
                except LinkError:
                    await self._until_back(self._timeout_s)
                except _Busy:
                    await self._until_back(BUSY_S)
            return await asyncio.to_thread(_digest, path) == update.sha256
        except OSError as error:
            raise StateError(f"the update cannot be written to {path}: {error.strerror}") from None

    async def _pieces(self, update: Update, path: Path, offset: int, progress: Callable[[int], None]) -> None:
        ahead: deque[tuple[int, int, asyncio.Future[bytes]]] = deque()
        asked_to = offset
        with path.open("ab") as file:
            try:
                while offset < update.size_bytes:
                    while asked_to < update.size_bytes and len(ahead) < AHEAD:
                        size = min(MAX_CHUNK_BYTES, update.size_bytes - asked_to)
                        ahead.append(self._ask(update.bundle_id, asked_to, size))
                        asked_to += size
                    number, size, piece = ahead.popleft()
                    data = await self._one(number, piece)
                    if len(data) != size:
                        raise Withdrawn(f"the GateManager sent {len(data)} bytes of the update where {size} were asked")
                    await asyncio.to_thread(file.write, data)
                    offset += size
                    if offset % SYNC_BYTES < size:
                        await asyncio.to_thread(_sync, file.fileno(), file.flush)
                    progress(offset * 100 // update.size_bytes)
                await asyncio.to_thread(_sync, file.fileno(), file.flush)
            finally:
                for number, _, piece in ahead:
                    self._asked.pop(number, None)
                    piece.cancel()

    def _ask(self, bundle_id: str, offset: int, size: int) -> tuple[int, int, asyncio.Future[bytes]]:
        number = next(self._numbers)
        message = FirmwareFetch(request_id=number, bundle_id=bundle_id, offset=offset, size_bytes=size)
        piece: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        self._asked[number] = piece
        if not self._line.tell(message):
            self._asked.pop(number)
            raise LinkError("there is no connection")
        return number, size, piece

    async def _one(self, number: int, piece: asyncio.Future[bytes]) -> bytes:
        try:
            async with asyncio.timeout(self._timeout_s):
                return await piece
        except TimeoutError:
            raise LinkError("the GateManager did not send the piece") from None
        finally:
            self._asked.pop(number, None)

    async def _until_back(self, longest_s: float) -> None:
        """Until the next login; or a while, where the connection holds and pieces were lost."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(longest_s):
                await self._back.wait()

    def _connected(self, welcome: Welcome) -> None:
        del welcome
        self._back.set()
        for piece in self._asked.values():
            if not piece.done():
                piece.set_exception(LinkError("the connection was lost"))

    def _came(self, message: FirmwareChunk) -> None:
        piece = self._asked.get(message.request_id)
        if piece is not None and not piece.done():
            piece.set_result(message.data)

    def _refused(self, message: Refusal) -> None:
        piece = self._asked.get(message.request_id or 0)
        if piece is not None and not piece.done():
            kind = _Busy if message.code == "busy" else Withdrawn
            piece.set_exception(kind(f"the GateManager does not send the update: {message.text}"))


def _usable_bytes(path: Path, size_bytes: int) -> int:
    """How much of the bundle is here already; a longer file is none of it."""
    try:
        found = path.stat().st_size
    except FileNotFoundError:
        return 0
    if found > size_bytes:
        path.unlink()
        return 0
    return found


def _digest(path: Path) -> bytes:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").digest()


def _sync(descriptor: int, flush: Callable[[], None]) -> None:
    flush()
    os.fsync(descriptor)

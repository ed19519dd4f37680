"""The server's end of the local socket."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec

from gatelink.exceptions import GatelinkError
from gatelink.frames import HEADER_BYTES
from gm_server import __version__
from gm_server.access.history import ENDED_BY_ADMINISTRATOR

from .ask import socket_path
from .messages import (
    Answer,
    Appliances,
    AskAppliances,
    AskEnd,
    AskRelays,
    AskReload,
    AskScan,
    AskSessions,
    AskStatus,
    Done,
    Failed,
    LiveSession,
    OnlineAppliance,
    RelaysObserved,
    Scanned,
    Sessions,
    Status,
    encode,
    questions,
)

if TYPE_CHECKING:
    from gm_server.service.server import Server

_MAX_QUESTION_BYTES: Final = 4096
_TIMEOUT_S: Final = 10.0


class Desk:
    """Answers questions about ``server``."""

    def __init__(self, server: Server, clock: Callable[[], float]) -> None:
        self._server = server
        self._since = clock()
        self._listening: asyncio.Server | None = None

    async def open(self, directory: Path) -> None:
        """Listen, in the place of a server that died; only under the data directory's lock."""
        (directory / "gm.sock").unlink(missing_ok=True)
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        try:
            with socket_path(directory) as path:
                before = os.umask(0o177)
                try:
                    listener.bind(path)
                finally:
                    os.umask(before)
            self._listening = await asyncio.start_unix_server(self._serve, sock=listener)
        except BaseException:
            listener.close()
            raise
        self._path = directory / "gm.sock"

    async def close(self) -> None:
        """Stop listening."""
        if self._listening is not None:
            self._listening.close()
            await self._listening.wait_closed()
            self._path.unlink(missing_ok=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, TimeoutError, asyncio.IncompleteReadError):
            payload = b""
            async with asyncio.timeout(_TIMEOUT_S):
                size_bytes = int.from_bytes(await reader.readexactly(HEADER_BYTES), "big")
                if size_bytes <= _MAX_QUESTION_BYTES:
                    payload = await reader.readexactly(size_bytes)
            if payload:
                answer = encode(await self._answer_bytes(payload))
                async with asyncio.timeout(_TIMEOUT_S):
                    writer.write(answer)
                    await writer.drain()
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()

    async def _answer_bytes(self, payload: bytes) -> Answer:
        try:
            question = questions.decode(payload)
            return await self._scan(question) if isinstance(question, AskScan) else self._answer(question)
        except msgspec.DecodeError:
            return Failed("the running server is of another version than this command")
        except GatelinkError as error:
            return Failed(str(error))

    async def _scan(self, question: AskScan) -> Answer:
        peer = self._server.peers.appliance(question.appliance_id)
        if peer is None:
            return Failed("this appliance is not connected")
        return Scanned(await self._server.appliance_desk.scans.scan(peer))

    def _answer(self, question: AskStatus | AskAppliances | AskSessions | AskEnd | AskRelays | AskReload) -> Answer:
        server = self._server
        match question:
            case AskStatus():
                return self._status()
            case AskAppliances():
                return Appliances(
                    tuple(
                        OnlineAppliance(
                            peer.appliance_id,
                            peer.since,
                            peer.address,
                            peer.port,
                            peer.channel.round_trip_s,
                            peer.software,
                        )
                        for peer in server.peers.appliances()
                    )
                )
            case AskSessions():
                return Sessions(tuple(self._sessions()))
            case AskEnd(session_id):
                if server.sessions.live.get(session_id) is None:
                    return Failed(f"there is no live session {session_id[:60]}; `gm sessions list` shows all")
                server.sessions.end(session_id, ENDED_BY_ADMINISTRATOR, "an administrator ended the session")
                return Done()
            case AskRelays():
                peers = tuple(server.peers.appliances())
                return RelaysObserved(
                    online=frozenset(peer.appliance_id for peer in peers),
                    locked=frozenset(peer.appliance_id for peer in peers if peer.status and peer.status.locked),
                    told=server.relays.told(),
                )
            case AskReload():
                server.reload()
                return Done()

    def _status(self) -> Status:
        server = self._server
        resident_pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
        return Status(
            version=__version__,
            process_id=os.getpid(),
            since=self._since,
            listening=tuple(f"[{host}]:{port}" if ":" in host else f"{host}:{port}" for host, port in server.addresses),
            serial=server.door.contexts.identity.serial,
            appliances=sum(1 for _ in server.peers.appliances()),
            users=sum(1 for _ in server.peers.users()),
            sessions=len(server.sessions.live),
            pending_connections=server.door.pending,
            resident_bytes=resident_pages * os.sysconf("SC_PAGE_SIZE"),
            strangers=dict(server.strangers.counts),
        )

    def _sessions(self) -> list[LiveSession]:
        return [
            LiveSession(
                session_id=session.session_id,
                user=session.user_name,
                address=session.address,
                appliance=session.appliance_path,
                devices=tuple(device.name for device in session.rights.devices),
                state=session.state,
                since=session.opened_at,
                ends_at=session.rights.ends_at,
                reason=session.reason,
                bytes_from_user=session.bytes_from_user,
                bytes_from_appliance=session.bytes_from_appliance,
            )
            for session in self._server.sessions.live
        ]

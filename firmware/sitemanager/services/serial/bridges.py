"""Raw bytes and RFC 2217: one PC has the serial port for itself."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any, Final

from serial import rfc2217

from sitemanager.exceptions import NetworkError
from sitemanager.host.serial.line import SerialLine

from .client import Client
from .port import SerialPort

_READ_BYTES: Final = 4096
_MODEM_LINES_S: Final = 0.2
MAX_SUBOPTION_BYTES: Final = 64
"""RFC 2217's longest is 6. A security limit: pyserial itself has none."""


class Bridge:
    """Carries bytes both ways until one side ends. A pulled adapter ends it as a pulled cable would."""

    def __init__(self, port: SerialPort, client: Client) -> None:
        self._port = port
        self._client = client
        self._draining: asyncio.Task[None] | None = None
        self._line: SerialLine

    async def run(self) -> None:
        """Do it. Raises NetworkError if the port cannot be opened."""
        self._line = self._port.line(self._from_line)
        self._line.settle()
        self._port.on_lost = self._client.close
        try:
            await self._carry()
        finally:
            if self._draining is not None:
                self._draining.cancel()
            self._port.on_lost = lambda: None

    async def _carry(self) -> None:
        with contextlib.suppress(OSError):
            while data := await self._client.reader.read(_READ_BYTES):
                await self._line.write(self.to_line(data))

    def to_line(self, data: bytes) -> bytes:
        """Return what goes on the line."""
        return data

    def to_pc(self, data: bytes) -> bytes:
        """Return what goes to the PC."""
        return data

    def _from_line(self, data: bytes) -> None:
        self._client.writer.write(self.to_pc(data))
        if self._client.is_full and self._draining is None:
            self._line.pause()
            self._draining = asyncio.create_task(self._drain())

    async def _drain(self) -> None:
        with contextlib.suppress(OSError):
            await self._client.writer.drain()
            self._line.resume()
        self._draining = None


class Rfc2217Bridge(Bridge):
    """The PC sets the line's parameters and sees its modem lines (RFC 2217, by pyserial's server part)."""

    async def _carry(self) -> None:
        self._manager: Any = rfc2217.PortManager(self._line.port, self._client.writer)
        polling = asyncio.create_task(self._poll_modem_lines())
        try:
            await super()._carry()
        finally:
            polling.cancel()

    def to_line(self, data: bytes) -> bytes:
        """Take commands out. Raises ConnectionError for a command without end."""
        found = b"".join(self._manager.filter(data))
        if self._manager.suboption is not None and len(self._manager.suboption) > MAX_SUBOPTION_BYTES:
            raise ConnectionError("an RFC 2217 command without an end")
        return found

    def to_pc(self, data: bytes) -> bytes:
        """Double the bytes that would be commands."""
        return b"".join(self._manager.escape(data))

    async def _poll_modem_lines(self) -> None:
        while self._line.is_open:
            self._manager.check_modem_lines()
            await asyncio.sleep(_MODEM_LINES_S)


async def serve(port: SerialPort, client: Client) -> None:
    """Serve one client until it ends. Raises NetworkError."""
    kind = Rfc2217Bridge if client.offer.kind == "rfc2217" else Bridge
    try:
        await kind(port, client).run()
    except NetworkError:
        client.close()
        raise
    client.close()

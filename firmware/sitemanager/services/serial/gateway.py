"""Modbus TCP to RTU or ASCII: requests of several masters wait in one queue, for the line carries one at a time."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from typing import Final

from sitemanager.core import modbus
from sitemanager.core.modbus import AnswerReader, Request, RequestReader
from sitemanager.core.serial_settings import BITS_PER_BYTE, SerialConfig
from sitemanager.exceptions import NetworkError

from .client import Client
from .port import SerialPort

MAX_WAITING: Final = 16
"""Requests of one master that are not answered yet; more are answered 'busy'."""
SILENCE_S: Final = 0.05
"""A frame has ended when nothing came for so long: USB adapters and the kernel pass bytes on in lumps."""
_READ_BYTES: Final = 4096
_LONGEST_FRAME_BYTES: Final = 256


class Gateway:
    """One for a port. Its worker runs while a master is connected."""

    def __init__(self, port: SerialPort, report: Callable[[str], None]) -> None:
        self.port = port
        self._report = report
        self._queue: asyncio.Queue[tuple[Client, Request]] = asyncio.Queue()
        self._incoming: asyncio.Queue[bytes] = asyncio.Queue()
        self._waiting: dict[Client, int] = {}
        self._worker: asyncio.Task[None] | None = None
        self._last_at = 0.0

    async def serve(self, client: Client) -> None:
        """Take a master's requests until it ends."""
        self._waiting[client] = 0
        if self._worker is None:
            self._worker = asyncio.create_task(self._work())
        reader = RequestReader()
        try:
            while data := await client.reader.read(_READ_BYTES):
                for request in reader.feed(data):
                    self._take(client, request)
        except OSError:
            pass
        except ValueError as error:
            self._report(f"serial port {self.port.config.name}: {client.user}'s connection is closed: {error}")
        finally:
            del self._waiting[client]
            client.close()
            if not self._waiting:
                await self.close()

    async def close(self) -> None:
        """End the worker."""
        if self._worker is not None:
            worker, self._worker = self._worker, None
            worker.cancel()
            await asyncio.gather(worker, return_exceptions=True)

    def _take(self, client: Client, request: Request) -> None:
        if request.unit > modbus.LAST_UNIT:
            client.writer.write(modbus.exception(request, modbus.PATH_UNAVAILABLE))
        elif self._waiting[client] >= MAX_WAITING:
            client.writer.write(modbus.exception(request, modbus.BUSY))
        else:
            self._waiting[client] += 1
            self._queue.put_nowait((client, request))

    async def _work(self) -> None:
        while True:
            client, request = await self._queue.get()
            if client not in self._waiting:
                continue  # hung up meanwhile: nobody waits for it
            answer = await self._answer(request)
            if client in self._waiting:
                self._waiting[client] -= 1
                if answer is not None:
                    client.writer.write(answer)

    async def _answer(self, request: Request) -> bytes | None:
        try:
            pdu = await self._exchange(request)
        except (NetworkError, ConnectionError) as error:
            self._report(str(error))
            pdu = None
            if request.unit != modbus.BROADCAST:
                return modbus.exception(request, modbus.PATH_UNAVAILABLE)
        if request.unit == modbus.BROADCAST:
            return None
        if pdu is None:
            return modbus.exception(request, modbus.TARGET_SILENT)
        return modbus.tcp_answer(request, pdu)

    async def _exchange(self, request: Request) -> bytes | None:
        """Return the answer's PDU; None if the PLC is silent. Raises NetworkError, ConnectionError."""
        config, loop = self.port.config, asyncio.get_running_loop()
        line = self.port.line(self._incoming.put_nowait)
        await asyncio.sleep(self._last_at + _rest_s(config) - loop.time())
        while not self._incoming.empty():
            self._incoming.get_nowait()
        frame = modbus.serial_frame(config.framing, request.unit, request.pdu)
        await line.write(frame)
        on_line_s = len(frame) * BITS_PER_BYTE / config.baud
        if request.unit == modbus.BROADCAST:
            await asyncio.sleep(on_line_s + config.turnaround_ms / 1000)
            return None
        reader = AnswerReader(config.framing, request.unit, request.pdu[0])
        deadline = loop.time() + on_line_s + config.answer_ms / 1000
        last = deadline + _LONGEST_FRAME_BYTES * 2 * BITS_PER_BYTE / config.baud
        began = False
        answer = None
        while answer is None and loop.time() < (last if began else deadline):
            wait_s = SILENCE_S if began else deadline - loop.time()
            data = b""
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(wait_s):
                    data = await self._incoming.get()
            answer = reader.feed(data) if data else reader.silence()
            began = bool(data)
            if not data and loop.time() >= deadline:
                break
        self._last_at = loop.time()
        return answer


def _rest_s(config: SerialConfig) -> float:
    """The 3.5 characters between two frames, at least 1.75 ms (Modbus over Serial Line V1.02, 2.5.1.1)."""
    return max(0.00175, 3.5 * BITS_PER_BYTE / config.baud)

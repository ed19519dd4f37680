"""A provider of text messages on loopback: keeps what it was asked to send, or says no."""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
from collections.abc import AsyncIterator

from gm_server.access.actors import at_the_console
from gm_server.texting.settings import HttpProvider, Provider, TextingSettings, save_texting
from inproc.gm_running import RunningGm

SECRET = "key of the text service"


class TextService:
    """``sent`` are the numbers and texts; ``status`` is what it answers."""

    def __init__(self) -> None:
        self.sent: list[tuple[str, str]] = []
        self.authorisations: list[str] = []
        self.status = 200
        self.port = 0

    def provider(self, name: str = "service") -> HttpProvider:
        return HttpProvider(
            name=name,
            url=f"http://127.0.0.1:{self.port}/send",
            headers={"Content-Type": "application/json", "Authorization": "Bearer {secret}"},
            body='{"to": "{to}", "text": "{text}"}',
            secret=SECRET,
        )

    @property
    def code(self) -> str:
        """The code in the newest message."""
        found = re.search(r"\b\d{6}\b", self.sent[-1][1])
        assert found is not None, self.sent[-1]
        return found[0]

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        headers = {line.partition(":")[0].lower(): line.partition(":")[2].strip() for line in head.splitlines()[1:]}
        body = json.loads(await reader.readexactly(int(headers["content-length"])))
        self.authorisations.append(headers["authorization"])
        if self.status == 200:
            self.sent.append((body["to"], body["text"]))
        writer.write(f"HTTP/1.1 {self.status} so\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok".encode())
        await writer.drain()
        writer.close()


@contextlib.asynccontextmanager
async def text_service(gm: RunningGm, *others: Provider) -> AsyncIterator[TextService]:
    """A service that the GateManager uses, behind ``others``."""
    service = TextService()
    server = await asyncio.start_server(service.serve, "127.0.0.1", 0)
    service.port = server.sockets[0].getsockname()[1]
    settings = TextingSettings((*others, service.provider()))
    gm.write(save_texting, at_the_console("root"), settings, gm.clock())
    try:
        yield service
    finally:
        server.close()
        await server.wait_closed()

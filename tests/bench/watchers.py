"""Browsers that keep the overview open: live streams over TLS, each of a user of its own, and when they were told.

``make`` puts the users with their cookies into a GateManager's records.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import secrets
import ssl
import time
from typing import Final

from gm_server.accounts.users import add_user
from gm_server.appliances.domains import add_domain
from gm_server.database.tables import RoleRecord, WebSession
from gm_server.directory import DataDirectory
from gm_server.ids import new_id
from gm_server.web.visitors import COOKIE, cookie_text

_DAY_S: Final = 86400.0
_LOOK_S: Final = 1.0
"""So often it is looked whether a stream failed, which would be waited for in vain."""


def make(directory: DataDirectory, count: int) -> list[str]:
    """Make users who see the whole server and are signed in; return their cookies."""
    now, cookies = time.time(), []
    database = directory.database()
    try:
        with database.write() as session:
            add_domain(session, "watch", now)
            for number in range(count):
                user = add_user(session, f"watcher {number}", "watch", now)
                session.add(RoleRecord(id=new_id("rol"), user_id=user.id, role="observer", created_at=now))
                secret = secrets.token_bytes(32)
                session.add(
                    WebSession(
                        id=new_id("web"),
                        secret_sha256=hashlib.sha256(secret).digest(),
                        user_id=user.id,
                        address="127.0.0.1",
                        browser="bench",
                        created_at=now,
                        confirmed_at=now,
                        last_seen_at=now,
                        expires_at=now + _DAY_S,
                    )
                )
                cookies.append(f"{COOKIE}={cookie_text(secret)}")
    finally:
        database.close()
    return cookies


class Watchers:
    """``async with``: every stream is open in it. ``told`` counts what each was told of."""

    def __init__(self, port: int, cookies: list[str]) -> None:
        self._port = port
        self._cookies = cookies
        self._context = ssl.create_default_context()
        self._context.check_hostname = False
        self._context.verify_mode = ssl.CERT_NONE
        self._tasks: list[asyncio.Task[None]] = []
        self._open = asyncio.Semaphore(0)
        self._news = asyncio.Event()
        self.told = [0] * len(cookies)

    async def __aenter__(self) -> Watchers:
        self._tasks = [asyncio.create_task(self._watch(number)) for number in range(len(self._cookies))]
        for _ in self._cookies:
            await self._open.acquire()
        return self

    async def __aexit__(self, *error: object) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def all_told(self, before: list[int]) -> None:
        """Wait until everybody was told of something since ``told`` was ``before``."""
        while any(now <= then for now, then in zip(self.told, before, strict=True)):
            for task in self._tasks:
                if task.done():
                    task.result()
            self._news.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_LOOK_S):
                    await self._news.wait()

    async def overview_s(self, number: int) -> float:
        """Open the overview as one of them; return how long it took, in seconds."""
        begin = time.monotonic()
        reader, writer = await self._ask(number, "/")
        await reader.readuntil(b"</html>")
        writer.close()
        return time.monotonic() - begin

    async def _watch(self, number: int) -> None:
        """Follow as a browser does: a stream ends by itself after a while, and the next goes on behind its last id."""
        path, is_first = "/live", True
        while True:
            reader, writer = await self._ask(number, path)
            if is_first:
                is_first = False
                self._open.release()
            try:
                while line := await reader.readline():
                    if line.startswith(b"id: "):
                        path = f"/live?after={int(line[4:])}"
                    elif line.startswith(b"data: {") and line.strip() != b"data: {}":
                        self.told[number] += 1
                        self._news.set()
            finally:
                writer.close()

    async def _ask(self, number: int, path: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        reader, writer = await asyncio.open_connection("127.0.0.1", self._port, ssl=self._context, limit=1 << 22)
        writer.write(f"GET {path} HTTP/1.1\r\nHost: gm\r\nCookie: {self._cookies[number]}\r\n\r\n".encode())
        head = await reader.readuntil(b"\r\n\r\n")
        if not head.startswith(b"HTTP/1.1 200"):
            raise RuntimeError(f"{path}: {head[:60]!r}")
        return reader, writer

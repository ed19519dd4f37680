"""Appliances come and go while many browsers watch: each is told of what it sees, of nothing else, and soon.

The streams are real, over TLS through the front door; the appliances are peers on the server's side alone, because what
500 logins cost is measured elsewhere (`make bench`, fleet).
"""

from __future__ import annotations

import asyncio
import hashlib
import secrets
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import msgspec
import pytest
from sqlalchemy.orm import Session

from gm_server.accounts.users import add_user, get_user
from gm_server.appliances.domains import add_domain, get_domain
from gm_server.appliances.registry import add_appliance
from gm_server.config import Limits
from gm_server.database.tables import RoleRecord, WebSession
from gm_server.ids import new_id
from gm_server.service.appliance_peer import AppliancePeer
from gm_server.web import streams
from gm_server.web.visitors import COOKIE, cookie_text
from inproc.gm_running import DEADLINE_S, RunningGm, running_gm

APPLIANCES = 500
WATCHERS = 50


@pytest.fixture(autouse=True)
def _long_streams(monkeypatch: pytest.MonkeyPatch) -> None:
    """Browsers open the next stream by themselves; nothing here does, however slow the machine is."""
    monkeypatch.setattr(streams, "LIFE_S", 600.0)


class Told(msgspec.Struct):
    """What an event says."""

    appliances: list[str] | None
    records: bool
    users: bool


class Watcher:
    """A browser's stream."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    async def told(self) -> Told:
        """Return the next change."""
        async with asyncio.timeout(DEADLINE_S):
            while True:
                line = (await self._reader.readline()).decode().strip()
                assert line or not self._reader.at_eof()
                if line.startswith("data: {") and line != "data: {}":
                    return msgspec.json.decode(line[6:], type=Told)

    async def told_of(self, appliance_id: str) -> None:
        """Wait until this appliance is among what changed."""
        while (told := await self.told()).appliances is not None and appliance_id not in told.appliances:
            pass

    def close(self) -> None:
        self._writer.close()


def _sign_in(gm: RunningGm, name: str) -> str:
    secret, now = secrets.token_bytes(32), gm.clock()

    def make(session: Session) -> None:
        session.add(
            WebSession(
                id=new_id("web"),
                secret_sha256=hashlib.sha256(secret).digest(),
                user_id=get_user(session, name).id,
                address="127.0.0.1",
                created_at=now,
                confirmed_at=now,
                last_seen_at=now,
                expires_at=now + 3600,
            )
        )

    gm.write(make)
    return cookie_text(secret)


async def _request(gm: RunningGm, cookie: str, path: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    reader, writer = await asyncio.open_connection("127.0.0.1", gm.endpoint.port, ssl=context, limit=1 << 22)
    writer.write(f"GET {path} HTTP/1.1\r\nHost: gm\r\nCookie: {COOKIE}={cookie}\r\n\r\n".encode())
    head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), DEADLINE_S)
    assert head.startswith(b"HTTP/1.1 200"), head
    return reader, writer


async def _watch(gm: RunningGm, cookie: str, after: int | None = None) -> Watcher:
    reader, writer = await _request(gm, cookie, "/live" if after is None else f"/live?after={after}")
    while not (await asyncio.wait_for(reader.readline(), DEADLINE_S)).startswith(b"id:"):
        pass
    return Watcher(reader, writer)


def _furnish(session: Session) -> None:
    for path in ("acme", "nordwind"):
        add_domain(session, path, 1.0)
        user = add_user(session, f"{path} watcher", path, 1.0)
        domain_id = get_domain(session, path).id
        role = RoleRecord(id=new_id("rol"), user_id=user.id, domain_id=domain_id, role="observer", created_at=1.0)
        session.add(role)
        for number in range(APPLIANCES // 2):
            add_appliance(session, path, f"unit {number}", 1.0)
    for number in range(WATCHERS):
        user = add_user(session, f"user {number}", "acme", 1.0)
        session.add(RoleRecord(id=new_id("rol"), user_id=user.id, role="observer", created_at=1.0))


def _peer(gm: RunningGm, number: int) -> AppliancePeer:
    path = f"{'acme' if number % 2 else 'nordwind'}/unit {number}"
    peer = AppliancePeer(
        cast(Any, None), f"sm-{number}", path, bytes(32), "run", "sm test", "203.0.113.1", 443, gm.clock()
    )
    peer.channel = cast(Any, SimpleNamespace(round_trip_s=0.02, close=lambda _reason: None, refuse=lambda *_: None))
    return peer


@asynccontextmanager
async def _plant(path: Path) -> AsyncIterator[RunningGm]:
    limits = Limits(web_connections=64, web_per_address=8)
    async with running_gm(path, limits) as gm:
        gm.write(_furnish)
        # They have no certificates to be judged by.
        gm.server.supervisor.on_decided = lambda *_: None
        yield gm


def test_fifty_browsers_are_told_soon_when_five_hundred_appliances_come_and_go(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with _plant(tmp_path / "gm") as gm:
            peers = gm.server.peers
            # More from one address than strangers may have: who is signed in is none.
            watchers = [await _watch(gm, _sign_in(gm, f"user {number}")) for number in range(WATCHERS)]
            here = [_peer(gm, number) for number in range(APPLIANCES)]
            for _wave in range(3):
                for peer in here:
                    peers.put_appliance(peer)
                async with asyncio.timeout(DEADLINE_S):
                    await asyncio.gather(*(watcher.told_of("sm-1") for watcher in watchers))
                for peer in here:
                    peers.remove_appliance(peer)
                async with asyncio.timeout(DEADLINE_S):
                    await asyncio.gather(*(watcher.told_of("sm-1") for watcher in watchers))
            # A page is still served at once.
            reader, writer = await _request(gm, _sign_in(gm, "user 0"), "/")
            assert b"appliances online" in await asyncio.wait_for(reader.readuntil(b"</html>"), DEADLINE_S)
            writer.close()
            for watcher in watchers:
                watcher.close()

    asyncio.run(scenario())


def test_nobody_is_told_of_what_he_does_not_see(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with _plant(tmp_path / "gm") as gm:
            peers = gm.server.peers
            acme = await _watch(gm, _sign_in(gm, "acme watcher"))
            nordwind = await _watch(gm, _sign_in(gm, "nordwind watcher"))
            peers.put_appliance(_peer(gm, 2))
            async with asyncio.timeout(DEADLINE_S):
                while (told := await nordwind.told()).appliances != ["sm-2"]:
                    assert told.appliances == []
            peers.put_appliance(_peer(gm, 1))
            async with asyncio.timeout(DEADLINE_S):
                while (told := await acme.told()).appliances != ["sm-1"]:
                    assert told.appliances == []
            acme.close()
            nordwind.close()

    asyncio.run(scenario())


def test_nothing_is_missed_when_a_browser_was_away_for_a_moment(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with _plant(tmp_path / "gm") as gm:
            cookie = _sign_in(gm, "user 0")
            feed = gm.server.live.feed
            await _settled(gm)
            drawn_at = feed.number
            gm.server.peers.put_appliance(_peer(gm, 7))
            await _settled(gm)
            assert feed.number > drawn_at
            watcher = await _watch(gm, cookie, drawn_at)
            await watcher.told_of("sm-7")
            watcher.close()
            # A number of another run of the server: anything may have changed.
            stale = await _watch(gm, cookie, drawn_at + 1_000_000)
            assert await stale.told() == Told(None, records=True, users=True)
            stale.close()

    asyncio.run(scenario())


async def _settled(gm: RunningGm) -> None:
    """Let two beats pass."""
    gm.server.live.beat()
    await asyncio.sleep(0)
    gm.server.live.beat()


def test_stream_is_refused_when_nobody_is_signed_in(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with _plant(tmp_path / "gm") as gm:
            context = ssl.create_default_context()
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
            for path, more in (("/live", ""), ("/", "HX-Request: true\r\n"), ("/appliances", "")):
                reader, writer = await asyncio.open_connection("127.0.0.1", gm.endpoint.port, ssl=context)
                writer.write(f"GET {path} HTTP/1.1\r\nHost: gm\r\nConnection: close\r\n{more}\r\n".encode())
                head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), DEADLINE_S)
                if more:
                    assert head.startswith(b"HTTP/1.1 401")
                    assert b"hx-refresh: true" in head.lower()
                else:
                    assert head.startswith(b"HTTP/1.1 303")
                    assert b"\r\nlocation: /sign-in" in head.lower()
                writer.close()

    asyncio.run(scenario())

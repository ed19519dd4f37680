"""A SiteManager's daemon with a network in memory, and a GateManager for it that tests lead by the hand."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import socket
import ssl
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from gatelink.channel import Channel
from gatelink.link.keeper import KeeperSettings
from gatelink.messages import (
    APPLIANCE_TO_GM,
    RELAY_TO_GM,
    ApplianceLogin,
    ApplianceToGm,
    DeviceAccess,
    Message,
    OpenSession,
    RelayJoined,
    Service,
    TunnelAddresses,
    Welcome,
)
from gatelink.pins import Pin
from gatelink.tls import tunnel_client_context
from gatelink.tls_io import Conversation, handshake
from gatelink.tunnel.framing import Hello, encode_control
from gatelink.wire import ALPN_CONTROL, ALPN_RELAY
from inproc.parties import ScriptedGm, party_identity
from sitemanager.config import Config
from sitemanager.host.config_store import save
from sitemanager.host.lock import RemoteAccessLock
from sitemanager.host.network.fake import FakeNetwork
from sitemanager.host.slots import Slots
from sitemanager.host.state import Known, State
from sitemanager.services.daemon import Daemon

M = TypeVar("M")
DEADLINE_S = 60.0
FAST = KeeperSettings(stagger_s=0.2, probe_s=0.3, backoff_first_s=0.01, backoff_longest_s=0.05)
MODBUS = Service("modbus", "tcp", 502, 502)
PLC = DeviceAccess("d1", "press", "192.168.50.10", (MODBUS,))


class SiteGm:
    """Takes the SM's logins and legs. ``messages`` is everything that the SM said after its login."""

    def __init__(self) -> None:
        self.scripted = ScriptedGm()
        self.scripted.scripts[ALPN_CONTROL] = self._control
        self.scripted.scripts[ALPN_RELAY] = self._relay
        self.logins: list[ApplianceLogin] = []
        self.messages: list[Message] = []
        self.welcome = Welcome(
            gm_name="gm", peer_id="sm-1", name="press 4", domain="/plant", unix_time_s=2_000_000_000.0, keepalive_s=25.0
        )
        self.channel: Channel[ApplianceToGm] | None = None
        self.legs: dict[bytes, socket.socket] = {}
        self.far_ends: list[ssl.SSLSocket] = []
        """Closed at the end of the scene."""
        self.joins = True
        """Whether legs are joined at once, or wait forever."""
        self._news = asyncio.Condition()
        self._notes: set[asyncio.Task[None]] = set()

    async def until(self, seen: Callable[[], M], what: str) -> M:
        """Wait for something that the SM does; raises AssertionError at the deadline."""
        try:
            async with asyncio.timeout(DEADLINE_S), self._news:
                await self._news.wait_for(seen)
        except TimeoutError:
            raise AssertionError(f"waited in vain for {what}; messages: {self.messages}") from None
        return seen()

    async def connected(self, logins: int = 1) -> Channel[ApplianceToGm]:
        """Wait for so many logins in all, and for the connection of the last one."""
        await self.until(lambda: len(self.logins) >= logins and self.channel is not None, f"login {logins}")
        assert self.channel is not None
        return self.channel

    async def told(self, kind: type[M], session_id: str) -> M:
        """Wait until the SM said this of a session."""

        def found() -> M | None:
            for message in self.messages:
                if isinstance(message, kind) and getattr(message, "session_id", None) == session_id:
                    return message
            return None

        result = await self.until(found, f"{kind.__name__} of {session_id}")
        assert result is not None
        return result

    async def leg(self, ticket: bytes) -> socket.socket:
        """Wait for the SM's leg with this ticket; it has left TLS."""
        await self.until(lambda: ticket in self.legs, "the leg")
        return self.legs.pop(ticket)

    def send(self, message: Message) -> None:
        """Say something on the control connection."""
        assert self.channel is not None
        self.channel.send(message)

    def hang_up(self) -> None:
        """Drop the control connection."""
        if self.channel is not None:
            self.channel.close("test")

    async def _control(self, tls: ssl.SSLSocket) -> None:
        conversation = Conversation(tls, 65536)
        login = await conversation.receive(APPLIANCE_TO_GM)
        assert isinstance(login, ApplianceLogin)
        closed: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        await conversation.send(self.welcome)

        def on_closed(reason: str) -> None:
            if not closed.done():
                closed.set_result(reason)

        channel: Channel[ApplianceToGm] = Channel(tls, APPLIANCE_TO_GM, 25.0, self._on_message, on_closed)
        self.logins.append(login)
        self.channel = channel
        await self._note()
        try:
            await closed
        finally:
            channel.close("over")
            if self.channel is channel:
                self.channel = None
            await self._note()

    async def _relay(self, tls: ssl.SSLSocket) -> None:
        conversation = Conversation(tls, 1024)
        hello = await conversation.receive(RELAY_TO_GM)
        if not self.joins:
            await asyncio.get_running_loop().create_future()
        await conversation.send(RelayJoined())
        self.legs[hello.ticket] = await conversation.end_tls()
        await self._note()

    def _on_message(self, message: Any) -> None:
        self.messages.append(message)
        task = asyncio.ensure_future(self._note())
        self._notes.add(task)
        task.add_done_callback(self._notes.discard)

    async def _note(self) -> None:
        async with self._news:
            self._news.notify_all()


class Site:
    """One SM: its files, its network in memory, what it reported."""

    def __init__(self, directory: Path) -> None:
        self.state = State(directory / "state")
        self.runtime = directory / "run"
        self.runtime.mkdir()
        self.state.prepare()
        self.identity = party_identity()
        self.network = FakeNetwork()
        self.lines: list[str] = []
        self.daemon: Daemon | None = None
        self.slots: Slots | None = None

    def enrol(self, pin: Pin, *ports: int, **values: Any) -> None:
        """Make it an enrolled unit whose GateManager is at 127.0.0.1."""
        config = Config(gm_addresses=("127.0.0.1",), ports=ports, dev_interfaces=("eth1",))
        save(self.state.directory, msgspec.structs.replace(config, **values))
        RemoteAccessLock(self.state.directory).allow_if_new()
        self.state.enrolled(pin, self.identity, Known(peer_id="sm-1", name="press 4"))

    @contextlib.asynccontextmanager
    async def running(self, settings: KeeperSettings = FAST) -> AsyncIterator[Daemon]:
        """The daemon, as ``sm run`` has it."""
        daemon = self.daemon = Daemon(
            self.state, self.runtime, self.network, self.lines.append, settings, slots=self.slots
        )
        work = asyncio.ensure_future(daemon.run())
        try:
            yield daemon
        finally:
            daemon.stop()
            async with asyncio.timeout(DEADLINE_S):
                await work

    def said(self, text: str) -> bool:
        """Whether a reported line holds this text."""
        return any(text in line for line in self.lines)


@contextlib.asynccontextmanager
async def site_and_gm(directory: Path, **values: Any) -> AsyncIterator[tuple[Site, SiteGm]]:
    """An enrolled site and its GM, both running and connected."""
    gm, site = SiteGm(), Site(directory)
    async with gm.scripted:
        site.enrol(gm.scripted.pin, gm.scripted.endpoint.port, **values)
        try:
            async with site.running():
                await gm.connected()
                await eventually(lambda: site.said("connected to"), "the welcome")
                yield site, gm
        finally:
            for connection in (*gm.far_ends, *gm.legs.values()):
                connection.close()


class FarEnd:
    """The LM of one session: who it is, and its end of the tunnel."""

    def __init__(self, session_id: str = "s1", pc: str = "100.64.0.2", user: str = "anna") -> None:
        self.session_id = session_id
        self.identity = party_identity(user)
        self.user = user
        self.ticket = secrets.token_bytes(32)
        gateway = pc.rsplit(".", 1)[0] + "." + str(int(pc.rsplit(".", 1)[1]) - 1)
        self.tunnel = TunnelAddresses(pc=pc, gateway=gateway)
        self.tls: ssl.SSLSocket | None = None

    def announcement(self, *devices: DeviceAccess, ends_at: float | None = None) -> OpenSession:
        """What the GM tells the SM."""
        return OpenSession(
            session_id=self.session_id,
            ticket=self.ticket,
            peer_certificate=self.identity.certificate,
            user=self.user,
            reason="the press stands",
            tunnel=self.tunnel,
            devices=devices or (PLC,),
            ends_at=ends_at,
        )

    async def join(self, gm: SiteGm, site: Site) -> ssl.SSLSocket:
        """Do the end-to-end TLS over the SM's leg and say Hello in the tunnel."""
        leg = await gm.leg(self.ticket)
        context = tunnel_client_context(self.identity, site.identity.certificate)
        async with asyncio.timeout(DEADLINE_S):
            self.tls = await handshake(leg, context, server_side=False)
        gm.far_ends.append(self.tls)
        self.tls.send(encode_control(Hello()))
        return self.tls

    async def ended(self) -> None:
        """Wait until the SM closed the tunnel."""
        assert self.tls is not None
        tls = self.tls
        tls.settimeout(DEADLINE_S)

        def drain() -> None:
            with contextlib.suppress(OSError):
                while tls.recv(65536):
                    pass
            tls.close()

        await asyncio.to_thread(drain)

    def close(self) -> None:
        """Break the connection."""
        if self.tls is not None:
            self.tls.close()


async def open_session(gm: SiteGm, site: Site, far_end: FarEnd, **announcement: Any) -> FarEnd:
    """Open a session all the way: frames can flow."""
    gm.send(far_end.announcement(**announcement))
    await far_end.join(gm, site)
    await eventually(lambda: site.said(f"session {far_end.session_id} of {far_end.user} open on"), "the open session")
    return far_end


async def eventually(seen: Callable[[], M], what: str) -> M:
    """Wait for what happens in a thread or a program and has no event of its own."""
    end = time.monotonic() + DEADLINE_S
    while not (found := seen()):
        assert time.monotonic() < end, f"waited in vain for {what}"
        await asyncio.sleep(0.01)
    return found

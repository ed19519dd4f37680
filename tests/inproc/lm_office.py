"""A LinkManager's PC without a kernel, and a GateManager with a SiteManager for it that tests lead by the hand."""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import os
import secrets
import socket
import ssl
import threading
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from gatelink.channel import Channel
from gatelink.exceptions import TrustError
from gatelink.identity import Identity
from gatelink.link.leg import end_to_end
from gatelink.link.login import Prompt
from gatelink.messages import (
    RELAY_TO_GM,
    USER_TO_GM,
    ApplianceList,
    ApplianceView,
    Connect,
    Connected,
    DeviceAccess,
    Disconnect,
    Done,
    EndSession,
    ListAppliances,
    LoginChallenge,
    Message,
    Refusal,
    RelayJoined,
    RequestAccess,
    Service,
    TunnelAddresses,
    UserLogin,
    UserToGm,
    WatchTree,
    Welcome,
)
from gatelink.tls import tunnel_server_context
from gatelink.tls_io import Conversation
from gatelink.tunnel.pump import Pump, PumpEnd
from gatelink.wire import ALPN_CONTROL, ALPN_RELAY
from gm_server.access.alternatives import avoiding
from inproc.parties import ScriptedGm, party_identity
from lm_client.agent.login import refuse_to_answer
from lm_client.agent.program import Agent
from lm_client.asking import ask
from lm_client.config import Config, LinkSettings, ServiceSettings, SessionSettings
from lm_client.core.local import Answer, Failure, LoggedIn, Request
from lm_client.home import Home, Profile
from lm_client.host.fake import FakeNames, FakeNetwork, FakeTap
from lm_client.journal import Journal
from lm_client.service.callers import Callers
from lm_client.service.listener import Listener

M = TypeVar("M")
A = TypeVar("A", bound=Answer)
DEADLINE_S = 60.0
PAGE = 40
"""Appliances in one message, so that it fits a frame."""
PASSWORD = "a very good password"
MODBUS = Service("modbus", "tcp", 502, 502)
PLC = DeviceAccess("d1", "plc", "192.168.50.10", (MODBUS,))
HMI = DeviceAccess("d2", "hmi", "192.168.50.11", (MODBUS,))
PRESS = ApplianceView("a1", "Acme/Hall 3", "press", True, (PLC, HMI))
ADDRESSES = TunnelAddresses("198.18.0.2", "198.18.0.1")


class FarEnd:
    """The SM's end of one session: a pump, and the wire of its adapter."""

    def __init__(self, tls: ssl.SSLSocket) -> None:
        self._near, self.wire = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.wire.setblocking(False)
        self._descriptor = tls.fileno()
        self.pump = Pump(FakeTap(self._near.fileno()), tls)
        self.ended: PumpEnd | None = None
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def cut(self) -> None:
        """Lose the connection without a word."""
        with contextlib.suppress(OSError), socket.socket(fileno=os.dup(self._descriptor)) as connection:
            connection.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """End it and let go of everything."""
        self.pump.stop("the test is over")
        self._thread.join(DEADLINE_S)
        self._near.close()
        self.wire.close()

    async def frame(self) -> bytes:
        """Wait for a frame from the PC."""
        async with asyncio.timeout(DEADLINE_S):
            return await asyncio.get_running_loop().sock_recv(self.wire, 65536)

    def _run(self) -> None:
        self.ended = self.pump.run()


class OfficeGm:
    """Takes the LM's logins, requests and legs. ``said`` is everything that the LM said after its login."""

    def __init__(self) -> None:
        self.scripted = ScriptedGm()
        self.scripted.scripts[ALPN_CONTROL] = self._control
        self.scripted.scripts[ALPN_RELAY] = self._relay
        self.sm = party_identity("press")
        self.appliances: tuple[ApplianceView, ...] = (PRESS,)
        self.devices: tuple[DeviceAccess, ...] = (PLC, HMI)
        self.addresses = ADDRESSES
        self.heeds_avoid = True
        self.refuse_connect: Refusal | None = None
        self.announced: Identity | None = None
        """Whom the GM names as the SM, if not the SM."""
        self.expected: Identity | None = None
        """Whom the SM was told to expect, if not the user."""
        self.joins = True
        self.ends_first: EndSession | None = None
        """What the GM says when the legs are joined, before the SM says anything."""
        self.logins: list[UserLogin] = []
        self.challenges: tuple[LoginChallenge, ...] = ()
        self.answers: list[UserToGm] = []
        self.access_answer: Callable[[int], Message] | None = None
        self.said: list[Message] = []
        self.far_ends: list[FarEnd] = []
        self.sessions: list[str] = []
        self._channel: Channel[UserToGm] | None = None
        self._tickets: set[bytes] = set()
        self._user_certificate = b""
        self._news = asyncio.Condition()
        self._notes: set[asyncio.Task[None]] = set()

    async def until(self, seen: Callable[[], M], what: str) -> M:
        """Wait for something that the LM does; raises AssertionError at the deadline."""
        try:
            async with asyncio.timeout(DEADLINE_S), self._news:
                await self._news.wait_for(seen)
        except TimeoutError:
            raise AssertionError(f"waited in vain for {what}; said: {self.said}") from None
        return seen()

    async def heard(self, kind: type[M]) -> M:
        """Wait until the LM said this."""
        found = await self.until(lambda: [word for word in self.said if isinstance(word, kind)], kind.__name__)
        return found[0]

    async def far_end(self, number: int = 1) -> FarEnd:
        """Wait for the SM's end of the numberth tunnel."""
        await self.until(lambda: len(self.far_ends) >= number, f"tunnel {number}")
        return self.far_ends[number - 1]

    def send(self, message: Message) -> None:
        """Say something on the control connection."""
        assert self._channel is not None
        self._channel.send(message)

    def refuse(self, code: str, text: str) -> None:
        """Say why and drop the control connection."""
        assert self._channel is not None
        self._channel.refuse(code, text)

    def hang_up(self) -> None:
        """Drop the control connection."""
        assert self._channel is not None
        self._channel.close("test")

    def close(self) -> None:
        """End every tunnel."""
        for far_end in self.far_ends:
            far_end.close()

    async def _control(self, tls: ssl.SSLSocket) -> None:
        conversation = Conversation(tls, 65536)
        self._user_certificate = tls.getpeercert(binary_form=True) or b""
        login = await conversation.receive(USER_TO_GM)
        assert isinstance(login, UserLogin)
        self.logins.append(login)
        if login.password != PASSWORD:
            await conversation.send(Refusal(code="login", text="the password is wrong"))
            return
        for challenge in () if login.resume else self.challenges:
            await conversation.send(challenge)
            self.answers.append(await conversation.receive(USER_TO_GM))
        welcome = Welcome(
            gm_name="gm",
            peer_id="u1",
            name="anna",
            domain="Acme",
            unix_time_s=2e9,
            keepalive_s=25.0,
            gm_addresses=("::1",),
            resume=b"r" * 32 if self.challenges else b"",
        )
        closed: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        await conversation.send(welcome)

        def on_closed(reason: str) -> None:
            if not closed.done():
                closed.set_result(reason)

        channel = self._channel = Channel(tls, USER_TO_GM, 25.0, self._on_message, on_closed)
        await self._note()
        try:
            await closed
        finally:
            channel.close("over")

    async def _relay(self, tls: ssl.SSLSocket) -> None:
        conversation = Conversation(tls, 1024)
        hello = await conversation.receive(RELAY_TO_GM)
        if hello.ticket not in self._tickets:
            await conversation.send(Refusal(code="ticket", text="the ticket is used, expired or not yours"))
            return
        self._tickets.remove(hello.ticket)
        if not self.joins:
            await asyncio.get_running_loop().create_future()
        await conversation.send(RelayJoined())
        leg = await conversation.end_tls()
        if self.ends_first is not None:
            self.send(self.ends_first)
        user = self.expected.certificate if self.expected else self._user_certificate
        try:
            far = await end_to_end(leg, tunnel_server_context(self.sm, user), server_side=True)
        except TrustError:
            if self.expected is None:
                raise
            return
        self.far_ends.append(FarEnd(far))
        await self._note()

    def _on_message(self, message: Any) -> None:
        self.said.append(message)
        match message:
            case ListAppliances(request_id=number, after=after):
                ids = [each.appliance_id for each in self.appliances]
                begin = ids.index(after) + 1 if after else 0
                rows = self.appliances[begin : begin + PAGE]
                more = begin + PAGE < len(ids)
                self.send(ApplianceList(request_id=number, appliances=rows, more=more))
            case RequestAccess(request_id=number) if self.access_answer is not None:
                self.send(self.access_answer(number))
            case WatchTree(request_id=number):
                self.send(Done(request_id=number))
            case Connect(resume_session_id=resumed):
                if resumed == next(reversed(self.sessions), ""):  # as the real one: to every party, also who asks
                    self.send(EndSession(session_id=resumed, code="resumed", reason="the session goes on"))
                self.send(self._answer(message))
            case Disconnect(request_id=number):
                self.send(Done(request_id=number))
        task = asyncio.ensure_future(self._note())
        self._notes.add(task)
        task.add_done_callback(self._notes.discard)

    def _answer(self, request: Connect) -> Message:
        if self.refuse_connect is not None:
            return msgspec.structs.replace(self.refuse_connect, request_id=request.request_id)
        ticket = secrets.token_bytes(32)
        self._tickets.add(ticket)
        self.sessions.append(f"s{len(self.sessions) + 1}")
        appliance = next(each for each in self.appliances if each.appliance_id == request.appliance_id)
        devices = self.devices if appliance.appliance_id == PRESS.appliance_id else appliance.devices
        return Connected(
            request_id=request.request_id,
            session_id=self.sessions[-1],
            ticket=ticket,
            peer_certificate=(self.announced or self.sm).certificate,
            appliance_id=request.appliance_id,
            name=appliance.name,
            domain=appliance.domain,
            tunnel=self._tunnel(request.avoid if self.heeds_avoid else ()),
            devices=avoiding(
                tuple(d for d in devices if not request.device_ids or d.device_id in request.device_ids),
                request.avoid if self.heeds_avoid else (),
            ),
        )

    def _tunnel(self, avoid: Sequence[str]) -> TunnelAddresses:
        """The next that is not to be avoided."""
        pc, gateway = map(ipaddress.IPv4Address, (self.addresses.pc, self.addresses.gateway))
        while str(pc) in avoid:
            pc, gateway = pc + 4, gateway + 4
        return TunnelAddresses(str(pc), str(gateway))

    async def _note(self) -> None:
        async with self._news:
            self._news.notify_all()


class Office:
    """One PC: its user's files, the service over a network in memory, and the agent."""

    def __init__(self, directory: Path, gm: OfficeGm) -> None:
        self.gm = gm
        self.network = FakeNetwork()
        self.names = FakeNames()
        self.home = Home(directory / "home")
        self.home.ensure()
        self.identity = party_identity("anna")
        self.socket_path = directory / "service.sock"
        self.service_lines: list[str] = []
        self.listener: Listener[Any] | None = None
        self.reports: list[LoggedIn | Failure] = []
        self.agent: Agent | None = None
        self._thread: threading.Thread | None = None
        self._work: asyncio.Future[None] | None = None
        self.save_profile()

    def save_profile(self, *, pinned: bool = True) -> Profile:
        """Be an enrolled user."""
        certificate = self.gm.scripted.identity.certificate if pinned else b""
        profile = Profile(user="anna", addresses=("127.0.0.1",), pin_certificate=certificate, pin_how="proof")
        self.home.save_profile(profile)
        return profile

    @property
    def config(self) -> Config:
        """Fast settings."""
        return Config(
            link=LinkSettings(
                ports=(self.gm.scripted.endpoint.port,), stagger_s=0.2, backoff_first_s=0.02, backoff_longest_s=0.05
            ),
            session=SessionSettings(give_up_s=DEADLINE_S, backoff_first_s=0.01, backoff_longest_s=0.05),
            service=ServiceSettings(socket=str(self.socket_path)),
        )

    def start_service(self) -> None:
        """Listen, as ``lm service`` does."""
        callers = Callers([os.geteuid()])
        say = self.service_lines.append
        listener = self.listener = Listener(self.socket_path, self.network, self.names, callers, say)
        self._thread = threading.Thread(target=listener.run)
        self._thread.start()

    def stop_service(self) -> None:
        """End it."""
        if self.listener is not None and self._thread is not None:
            self.listener.close()
            self._thread.join(DEADLINE_S)
            self.listener = None

    async def work_done(self) -> None:
        """Wait until the agent ended by itself, and raise why."""
        assert self._work is not None
        async with asyncio.timeout(DEADLINE_S):
            await self._work

    @contextlib.asynccontextmanager
    async def logged_in(
        self, config: Config | None = None, password: str = PASSWORD, prompt: Prompt = refuse_to_answer
    ) -> AsyncIterator[Agent]:
        """The agent, from a good login to its end."""
        agent = Agent(self.home, config or self.config, Journal(self.home.log_path), FakeTap, self.network.routes)
        profile = self.home.profile()
        work = self._work = asyncio.ensure_future(
            agent.run(self.identity, profile, password, self.reports.append, prompt)
        )
        try:
            await self.until(lambda: bool(self.reports) or work.done(), "the report")
            if work.done():
                work.result()
            yield agent
        finally:
            agent.leave()
            async with asyncio.timeout(DEADLINE_S):
                await asyncio.wait({work})
            agent.journal.close()
            if not work.cancelled():
                work.exception()

    async def until(self, seen: Callable[[], M], what: str) -> M:
        """Wait for something that has no event of its own."""
        end = asyncio.get_running_loop().time() + DEADLINE_S
        while not (found := seen()):
            if asyncio.get_running_loop().time() > end:
                raise AssertionError(f"waited in vain for {what}; log:\n{self.log}")
            await asyncio.sleep(0.005)
        return found

    async def ask(self, request: Request, kind: type[A]) -> A:
        """What a command does."""
        return await asyncio.to_thread(ask, self.home, request, kind)

    @property
    def log(self) -> str:
        """What the agent noted so far."""
        return self.home.log_path.read_text(encoding="utf-8")

    @property
    def routes(self) -> dict[str, set[str]]:
        """The devices that each adapter leads to."""
        return {name: set(map(str, adapter.devices)) for name, adapter in self.network.adapters.items()}


@contextlib.asynccontextmanager
async def office_and_gm(directory: Path) -> AsyncIterator[tuple[Office, OfficeGm]]:
    """An enrolled PC with its service running, and its GM. Nobody is logged in."""
    gm = OfficeGm()
    async with gm.scripted:
        office = Office(directory, gm)
        office.start_service()
        try:
            yield office, gm
        finally:
            office.stop_service()
            gm.close()

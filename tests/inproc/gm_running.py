"""A whole GateManager on loopback, in this process, and parties that speak to it with the library's dialling half."""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import datetime
import functools
import shutil
import socket
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any, Concatenate, ParamSpec, TypeVar

import msgspec
from sqlalchemy.orm import Session

from gatelink import messages
from gatelink.claims import Claim, fingerprint_of, parse_claim
from gatelink.identity import Identity, new_key
from gatelink.link.contact import connect_pinned
from gatelink.link.endpoints import Endpoint
from gatelink.link.enrolment import Enrolment, enrol
from gatelink.link.leg import open_leg
from gatelink.pins import Pin
from gatelink.tls_io import Conversation
from gatelink.wire import ALPN_CONTROL
from gm_server.access.grants import Target, add_grant
from gm_server.accounts.users import add_user, get_user
from gm_server.appliances.devices import add_device, add_services
from gm_server.appliances.domains import add_domain
from gm_server.appliances.registry import add_appliance, get_appliance
from gm_server.config import Config, Limits
from gm_server.database.engine import Database
from gm_server.database.revisions import upgrade
from gm_server.directory import DataDirectory
from gm_server.enrolment.claims import Sender, create_claim, create_invitation
from gm_server.service.server import Server

P = ParamSpec("P")
R = TypeVar("R")
M = TypeVar("M")
PASSWORD = "correct horse battery"
DEADLINE_S = 60.0
"""For whatever is waited for: how busy the machine is says nothing of the code."""


class Clock:
    """Unix time that a test can move."""

    def __init__(self) -> None:
        self.ahead_s = 0.0
        self._held: float | None = None

    def __call__(self) -> float:
        return (time.time() if self._held is None else self._held) + self.ahead_s

    def hold(self) -> None:
        """From now on time goes on by ``ahead_s`` alone: how busy the machine is does not matter."""
        self._held = time.time()


@functools.cache
def _template() -> DataDirectory:
    directory = DataDirectory(Path(tempfile.mkdtemp(prefix="gatelink-gm-template-")))
    atexit.register(shutil.rmtree, directory.path)
    settings = Config(name="test", addresses=("127.0.0.1",), listen=("127.0.0.1:0",))
    directory.make(settings, datetime.datetime.now(datetime.UTC))
    database = Database(directory.database_path, create=True)
    upgrade(database)
    database.close()
    directory.finish(settings)
    return directory


def make_directory(path: Path, **changes: Any) -> DataDirectory:
    """Make a data directory like ``gm init`` does, with other settings where ``changes`` say so."""
    shutil.copytree(_template().path, path)
    directory = DataDirectory(path)
    directory.finish(msgspec.structs.replace(directory.config(), **changes))
    return directory


class RunningGm:
    """A server, and what its administrator does beside it."""

    def __init__(self, directory: DataDirectory, clock: Clock) -> None:
        self.directory = directory
        self.clock = clock
        self.server = Server(directory, clock)
        self._kept: Database | None = None

    @property
    def endpoint(self) -> Endpoint:
        return Endpoint("127.0.0.1", self.server.addresses[0][1])

    @property
    def pin(self) -> Pin:
        return Pin(self.directory.appliance_identity().certificate, "proof")

    def write(self, work: Callable[Concatenate[Session, P], R], *args: P.args, **kwargs: P.kwargs) -> R:
        """Change the records as the command line does: over a connection of its own."""
        with self._database() as database, database.write() as session:
            return work(session, *args, **kwargs)

    def read(self, work: Callable[Concatenate[Session, P], R], *args: P.args, **kwargs: P.kwargs) -> R:
        with self._database() as database, database.read() as session:
            return work(session, *args, **kwargs)

    def claim(self, appliance: str, *, fingerprint: bool = True, days: float = 7) -> Claim:
        """Make a claim for an appliance that exists."""
        sender = self._sender(fingerprint=fingerprint)

        def make(session: Session) -> str:
            return create_claim(session, get_appliance(session, appliance), sender, days, self.clock())[1]

        return parse_claim(self.write(make), "appliance")

    def invitation(self, user: str) -> Claim:
        def make(session: Session) -> str:
            return create_invitation(session, get_user(session, user), self._sender(), 7, self.clock())[1]

        return parse_claim(self.write(make), "user")

    def plant(self) -> None:
        """Domain acme/line3 with the appliance press1, its device plc with modbus, and the user ada."""

        def make(session: Session) -> None:
            add_domain(session, "acme", 1.0)
            add_domain(session, "acme/line3", 1.0)
            add_appliance(session, "acme/line3", "press1", 1.0)
            add_device(session, "acme/line3/press1", "plc", "192.168.1.10")
            add_services(session, "acme/line3/press1/plc", (messages.Service("modbus", "tcp", 502, 502),))
            add_user(session, "ada", "acme", 1.0)

        self.write(make)

    def grant(self, user: str = "ada", **options: Any) -> str:
        """Grant a user the appliance press1 (or another target); return the grant's id."""
        target = options.pop("target", Target(appliance="acme/line3/press1"))
        now = self.clock()
        services, start, end = options.pop("services", ()), options.pop("start", None), options.pop("end", None)

        def make(session: Session) -> str:
            return add_grant(session, user, target, services, start, end, "test", now).id

        return self.write(make)

    async def enrolled_appliance(self, path: str = "acme/line3/press1") -> Enrolment:
        return await enrol(self.endpoint, self.claim(path), new_key(), "sm test")

    async def enrolled_user(self, name: str = "ada") -> Enrolment:
        return await enrol(self.endpoint, self.invitation(name), new_key(), "lm test", PASSWORD)

    @contextlib.contextmanager
    def kept_connection(self) -> Iterator[None]:
        """Read and write by one connection, which is still not the server's: to open one costs more than most work."""
        with contextlib.closing(self.directory.database()) as database:
            self._kept = database
            try:
                yield
            finally:
                self._kept = None

    @contextlib.contextmanager
    def _database(self) -> Iterator[Database]:
        if self._kept is not None:
            yield self._kept
            return
        database = self.directory.database()
        try:
            yield database
        finally:
            database.close()

    def _sender(self, *, fingerprint: bool = True) -> Sender:
        certificate = self.directory.appliance_identity().certificate
        return Sender(("127.0.0.1",), fingerprint_of(certificate) if fingerprint else None)


class Party:
    """An SM or LM: its control connection word by word."""

    def __init__(self, gm: RunningGm, enrolment: Enrolment, vocabulary: messages.Vocabulary[Any]) -> None:
        self.gm = gm
        self.enrolment = enrolment
        self._vocabulary = vocabulary
        self.conversation: Conversation | None = None

    @property
    def identity(self) -> Identity:
        return self.enrolment.identity

    async def connect(self) -> Conversation:
        """Make the TLS connection; nothing is said yet."""
        self.close()
        contact = await connect_pinned(self.gm.endpoint, self.enrolment.pin, ALPN_CONTROL, self.identity)
        self.conversation = Conversation(contact.tls, 1 << 20)
        return self.conversation

    async def log_in_as(self, login: messages.Message) -> Any:
        """Connect, say the login, return the answer."""
        conversation = await self.connect()
        await conversation.send(login)
        return await self.hear()

    async def hear(self) -> Any:
        """Return the next message that is no keepalive, and no list of devices to be checked."""
        assert self.conversation is not None
        async with asyncio.timeout(DEADLINE_S):
            while True:
                message = await self.conversation.receive(self._vocabulary)
                if not isinstance(message, messages.Ping | messages.Pong | messages.WatchDevices):
                    return message

    async def hear_kind(self, kind: type[M]) -> M:
        """Return the next message, which must be of this kind; that the tree changed may be told at any moment."""
        message = await self.hear()
        while isinstance(message, messages.TreeChanged) and kind is not messages.TreeChanged:
            message = await self.hear()
        assert isinstance(message, kind), message
        return message

    async def say(self, message: messages.Message) -> None:
        assert self.conversation is not None
        await self.conversation.send(message)

    async def leg(self, ticket: bytes) -> socket.socket:
        """Open a leg with a ticket."""
        return await open_leg(self.gm.endpoint, self.enrolment.pin, self.identity, ticket)

    def close(self) -> None:
        if self.conversation is not None:
            self.conversation.tls.close()


class Appliance(Party):
    """An SM."""

    def __init__(self, gm: RunningGm, enrolment: Enrolment) -> None:
        super().__init__(gm, enrolment, messages.GM_TO_APPLIANCE)

    async def log_in(self, run_id: str = "run-1", **more: Any) -> Any:
        route = self.gm.endpoint.route
        return await self.log_in_as(messages.ApplianceLogin(software="sm test", run_id=run_id, route=route, **more))


class User(Party):
    """An LM."""

    def __init__(self, gm: RunningGm, enrolment: Enrolment) -> None:
        super().__init__(gm, enrolment, messages.GM_TO_USER)

    async def log_in(self, password: str = PASSWORD, **more: Any) -> Any:
        route = self.gm.endpoint.route
        return await self.log_in_as(messages.UserLogin(software="lm test", route=route, password=password, **more))

    async def ask_for(self, appliance: Appliance, **more: Any) -> Any:
        """Ask for a session; return the answer."""
        appliance_id = appliance.enrolment.peer_id
        await self.say(messages.Connect(request_id=9, appliance_id=appliance_id, **more))
        answer = await self.hear()
        # What was decided, and that the tree changed, may be told at any moment.
        while isinstance(answer, messages.TreeChanged | messages.AccessDecided):
            answer = await self.hear()
        return answer


class OpenedSession(msgspec.Struct):
    """A session with both legs joined."""

    session_id: str
    connected: messages.Connected
    opened: messages.OpenSession
    user_leg: socket.socket
    appliance_leg: socket.socket

    def close(self) -> None:
        self.user_leg.close()
        self.appliance_leg.close()

    async def is_cut(self) -> bool:
        """Wait until both legs are closed by the GM."""
        loop = asyncio.get_running_loop()
        async with asyncio.timeout(DEADLINE_S):
            for leg in (self.user_leg, self.appliance_leg):
                with contextlib.suppress(ConnectionError):
                    while await loop.sock_recv(leg, 4096):
                        pass
        return True


async def open_session(user: User, appliance: Appliance, **more: Any) -> OpenedSession:
    """Ask for a session and join both legs; bytes have gone through it in both directions."""
    connected = await user.ask_for(appliance, **more)
    assert isinstance(connected, messages.Connected), connected
    opened = await appliance.hear_kind(messages.OpenSession)
    legs = await asyncio.gather(user.leg(connected.ticket), appliance.leg(opened.ticket))
    loop = asyncio.get_running_loop()
    for this, other in (legs, legs[::-1]):
        await loop.sock_sendall(this, b"there and back")
        async with asyncio.timeout(DEADLINE_S):
            assert await loop.sock_recv(other, 100) == b"there and back"
    return OpenedSession(connected.session_id, connected, opened, *legs)


@contextlib.asynccontextmanager
async def running_gm(path: Path, limits: Limits | None = None, **changes: Any) -> AsyncIterator[RunningGm]:
    """A new GateManager that runs until the end of the block."""
    if limits is not None:
        changes["limits"] = limits
    gm = RunningGm(make_directory(path, **changes), Clock())
    await gm.server.start()
    try:
        with gm.kept_connection():
            yield gm
    finally:
        await gm.server.close()


@contextlib.asynccontextmanager
async def connected_plant(path: Path, **changes: Any) -> AsyncIterator[tuple[RunningGm, Appliance, User]]:
    """A GateManager with an appliance and a user who are logged in; nothing is granted yet."""
    async with running_gm(path, **changes) as gm:
        gm.plant()
        appliance = Appliance(gm, await gm.enrolled_appliance())
        user = User(gm, await gm.enrolled_user())
        try:
            assert isinstance(await appliance.log_in(), messages.Welcome)
            assert isinstance(await user.log_in(), messages.Welcome)
            yield gm, appliance, user
        finally:
            appliance.close()
            user.close()


async def until(condition: Callable[[], bool], deadline_s: float = DEADLINE_S) -> None:
    """Let the loop run until something is so."""
    async with asyncio.timeout(deadline_s):
        while not condition():  # noqa: ASYNC110 - what is waited for knows nothing of tests
            await asyncio.sleep(0.01)

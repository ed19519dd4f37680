"""The agent as a program: opens the identity, logs in, tells whoever started it, and stays until it is told to go."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, TextIO

from gatelink.exceptions import GatelinkError, Refused
from gatelink.identity import Identity, from_pkcs12
from gatelink.link.login import Prompt
from gatelink.messages import Welcome
from lm_client.config import Config, load
from lm_client.core.local import (
    Answer,
    AskForAccess,
    ConnectTo,
    DisconnectFrom,
    Done,
    Failure,
    GetAppliances,
    GetKeys,
    GetStatus,
    LoggedIn,
    Logout,
    Request,
    Status,
    TrustKey,
)
from lm_client.exceptions import AgentError
from lm_client.home import Home, Profile
from lm_client.host import here
from lm_client.journal import Journal
from lm_client.locks import Lock

from .adapter import TakeTap
from .addresses import AddressBook, ReadRoutes
from .alarms import AlarmBook
from .door import make_door
from .gatemanager import GateManager
from .keys import KeyBook
from .login import identity_by_password, pin_of, refuse_to_answer
from .network_watch import NetworkWatch
from .relays import RelayKeeper
from .resolver import Resolver
from .sessions import Sessions
from .starter import Starter
from .surroundings import Surroundings
from .tree import Tree
from .views import pin_view

Report = Callable[[LoggedIn | Failure], None]
_SIGNALS: Final = ("SIGTERM", "SIGINT", "SIGHUP")


class Agent:
    """One logged-in user. ``take_tap`` and ``read_routes`` are for tests without a kernel's TAP and routes."""

    def __init__(
        self,
        home: Home,
        config: Config,
        journal: Journal,
        take_tap: TakeTap | None = None,
        read_routes: ReadRoutes = here.routes_of_this_pc,
    ) -> None:
        self._home = home
        self._config = config
        self.journal = journal
        self._take_tap = take_tap
        self._read_routes = read_routes
        self._sessions = Sessions()
        self._relays = RelayKeeper(self._sessions, config.relays, journal)
        self._logout = asyncio.Event()
        self._door = make_door(home.socket_path, self._handle)
        self._gm: GateManager | None = None

    def leave(self) -> None:
        """End everything soon."""
        self._logout.set()

    async def run(
        self,
        identity: Identity | None,
        profile: Profile,
        password: str,
        report: Report,
        prompt: Prompt = refuse_to_answer,
    ) -> None:
        """Log in, report, serve until ``leave`` or a final refusal. Raises GatelinkError if the login fails.

        Without an identity it comes of name and password. ``prompt`` asks the person for a second factor.
        """
        home, config, journal = self._home, self._config, self.journal
        alarms = AlarmBook(home)
        pin, locked_now = await pin_of(home, profile, config, journal)
        if identity is None:
            identity, pin = await identity_by_password(home, profile, config, pin, password, prompt, alarms)
        profile = home.profile()
        gm = GateManager(home, profile, config, pin, identity, password, journal, self._sessions, alarms, prompt)
        self._gm = gm
        path = Path(config.service.socket)
        book = AddressBook(self._read_routes)
        resolver = Resolver(book.by_name)
        tree = Tree(gm, book, journal)
        watch = NetworkWatch(lambda: [(gm.own_address, gm.drop), *self._sessions.lines], journal.note)
        around = Surroundings(
            gm,
            journal,
            config.session,
            KeyBook(home),
            path,
            home.serial_directory,
            config.serial,
            config.com_pairs,
            book,
            resolver,
            tree,
        )
        if self._take_tap is not None:
            around.take_tap = self._take_tap
        relays = self._relays
        self._sessions.on_login = lambda: relays.watch(gm)
        self._sessions.on_relays, self._sessions.on_tree_change = relays.told, relays.look
        keeping = asyncio.ensure_future(gm.run())
        try:
            begun: tuple[asyncio.Future[Any], ...] = (keeping, gm.first_login)
            await asyncio.wait(begun, return_when=asyncio.FIRST_COMPLETED)
            welcome = _result_of(keeping, gm)
            self._sessions.begin(around)
            await resolver.open()
            watch.start()
            await self._door.open()
            report(
                LoggedIn(
                    user=welcome.name,
                    gm_name=welcome.gm_name,
                    way=str(gm.way),
                    pin=pin_view(gm.pin),
                    locked_now=locked_now,
                )
            )
            await self._serve(keeping)
        finally:
            await relays.close()
            await self._sessions.disconnect(None)
            await self._door.close()
            watch.close()
            resolver.close()
            tree.close()
            keeping.cancel()
            await asyncio.wait({keeping})

    async def _serve(self, keeping: asyncio.Task[None]) -> None:
        leaving = asyncio.ensure_future(self._logout.wait())
        listing = asyncio.ensure_future(self._sessions.look())
        try:
            await asyncio.wait({keeping, leaving}, return_when=asyncio.FIRST_COMPLETED)
            if keeping.done():
                keeping.result()
        finally:
            leaving.cancel()
            listing.cancel()
            await asyncio.wait({leaving, listing})

    async def _handle(self, request: Request) -> Answer:
        sessions = self._sessions
        match request:
            case GetStatus():
                return self._status()
            case GetAppliances(fresh=fresh):
                return await sessions.list_appliances(fresh=fresh)
            case AskForAccess():
                return await sessions.ask_for_access(request)
            case ConnectTo():
                return await sessions.connect(request)
            case DisconnectFrom(target=target):
                return await sessions.disconnect(target)
            case GetKeys(target=target):
                return await sessions.keys(target)
            case TrustKey(appliance_id=appliance_id, key_sha256=key_sha256):
                sessions.trust(appliance_id, key_sha256)
                return Done()
            case Logout():
                await sessions.disconnect(None)
                self.leave()
                return Done()

    def _status(self) -> Status:
        gm = self._gm
        if gm is None or gm.welcome is None:
            raise AgentError("not logged in yet")
        return Status(
            pid=os.getpid(),
            user=gm.welcome.name,
            domain=gm.welcome.domain,
            gm_name=gm.welcome.gm_name,
            connected=gm.way is not None,
            way=str(gm.way) if gm.way else gm.trouble,
            since=gm.since,
            rtt_s=gm.round_trip_s,
            pin=pin_view(gm.pin),
            sessions=self._sessions.views,
            ended=self._sessions.ended_views,
            revision=self._sessions.revision,
            requests=self._sessions.requests,
            relays=self._relays.views,
        )


def run(
    home: Home, password: str, report: Report, echo: TextIO | None = None, prompt: Prompt = refuse_to_answer
) -> int:
    """Be the agent until it is over; return the exit status. Failures before the login are reported, not raised."""
    here.keep_secrets_in_memory()
    try:
        profile = home.profile()
        config = load(home)
        lock = _lock(home)
    except GatelinkError as error:
        report(Failure(kind="input", text=str(error)))
        return 2
    journal = Journal(home.log_path, echo)
    try:
        identity = None
        if profile.method == "certificate":
            identity = from_pkcs12(home.read(home.identity_path) or b"", password)
        agent = Agent(home, config, journal)
        # On Windows not the loop that is usual there: it cannot wait for TLS sockets.
        with asyncio.Runner(loop_factory=asyncio.SelectorEventLoop) as runner:
            runner.run(_run(agent, identity, profile, password, report, prompt))
    except GatelinkError as error:
        journal.note(f"ended: {error}")
        report(Failure(kind="failed", text=str(error)))
        return 1
    except Exception as error:
        where = traceback.extract_tb(error.__traceback__)[-1]
        journal.note(f"ended: a mistake in the program, please report it: {error!r} ({where.filename}:{where.lineno})")
        raise
    else:
        journal.note("logged out")
        return 0
    finally:
        journal.close()
        lock.release()


async def _run(
    agent: Agent, identity: Identity | None, profile: Profile, password: str, report: Report, prompt: Prompt
) -> None:
    loop = asyncio.get_running_loop()
    for name in _SIGNALS if sys.platform != "win32" else ():  # there `lm logout` is the only way
        loop.add_signal_handler(getattr(signal, name), agent.leave)
    await agent.run(identity, profile, password, report, prompt)


def _lock(home: Home) -> Lock:
    try:
        return Lock(home.lock_path)
    except BlockingIOError:
        raise AgentError("an agent is running already: `lm logout` ends it") from None


def _result_of(keeping: asyncio.Task[None], gm: GateManager) -> Welcome:
    """Return the welcome; raises why there is none."""
    if keeping.done():
        try:
            keeping.result()
        except Refused as error:
            raise Refused(error.code, f"the GateManager refused the login: {error}") from None
    return gm.first_login.result()


def main() -> int:
    """Entry of the background process: what is said to whoever started it goes over its standard input, a socket."""
    starter = Starter()
    try:
        password = starter.password()
    except (AgentError, OSError):
        return 1
    return run(Home(Path(sys.argv[1])), password, starter.report, prompt=starter.prompt)

"""The daemon, ``sm run``: puts the parts together, runs until told to end, and leaves nothing behind."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

from gatelink.link.keeper import KeeperSettings
from sitemanager.core.clock import GmClock
from sitemanager.core.status import Status
from sitemanager.exceptions import DaemonError
from sitemanager.host import times
from sitemanager.host.lock import RemoteAccessLock
from sitemanager.host.network import Network
from sitemanager.host.outbox import Outbox
from sitemanager.host.page_secret import PageSecret
from sitemanager.host.slots import Slots
from sitemanager.host.slots.guarded import GuardedSlots
from sitemanager.host.state import State

from .appliance_status import ApplianceReport
from .configuration import TRIAL_S, Configuration
from .control import Control
from .counter import Counter
from .daemon_status import daemon_status
from .desk import Desk
from .enrolment import SOFTWARE
from .events import Events
from .gm_line import GmLine
from .link_part import LinkPart
from .local_server import LocalServer
from .log import Log
from .network_state import NetworkState
from .page_login import PageLogin
from .parts import Part, Surroundings, close_all, parts
from .remote_access import RemoteAccess
from .sessions import Sessions, SessionSettings
from .setup import Setup
from .watch import Watch


class Daemon:
    """One run. ``report`` takes one line for each event; ``page_user`` is who runs ``sm page``."""

    def __init__(
        self,
        state: State,
        runtime: Path,
        network: Network,
        report: Callable[[str], None],
        keeper_settings: KeeperSettings | None = None,
        *,
        page_user: str = "gatelink-page",
        trial_s: float = TRIAL_S,
        provision_from: tuple[Path, ...] = (),
        slots: Slots | None = None,
    ) -> None:
        state.prepare()
        self._state = state
        self._runtime = runtime
        self._keeper_settings = keeper_settings
        self._page_user = page_user
        self._clock = GmClock()
        self._began = times.steady_s()
        self.log = Log(report, self._now)
        self._report = self.log
        self._configuration = Configuration(state, self._report, self._connected_since, trial_s)
        self._network = NetworkState(network, self._configuration.config.dev_interfaces, self._report)
        self._line = GmLine()
        self._events = Events(Outbox(state.directory, self._now), self._line, self._report)
        self._access = RemoteAccess(RemoteAccessLock(state.directory), self._report, self._events.record)
        self._login = PageLogin(PageSecret(state.directory), self._report, self._events.record)
        self._desk = Desk(self._login.is_logged_in)
        self._appliance = ApplianceReport(self._line, self._access.reason, lambda: times.steady_s() - self._began)
        self._setup: Setup | None = None
        self._provision_from = provision_from
        self._slots = slots or GuardedSlots(runtime)
        self._control: Control | None = None
        self._sessions: Sessions | None = None
        self._stop: asyncio.Event | None = None

    def stop(self) -> None:
        """End the run soon."""
        if self._stop is not None:
            self._stop.set()

    async def run(self) -> None:
        """Run until ``stop``, SIGTERM or SIGINT. Raises DaemonError, StateError, NetworkError at the start."""
        self._stop = asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, self._stop.set)
        setup = self._setup = Setup(self._state, lambda: self._configuration.config, self._report)
        self._access.listeners += [self._lock_changed, self._appliance.changed]
        around = Surroundings(
            self._state,
            self._runtime,
            self._desk,
            self._line,
            self._appliance,
            self._report,
            self._status,
            self._events.record,
            self.stop,
            self._access,
            setup,
            self._configuration,
            self._network,
            self._slots,
            self._provision_from,
        )
        running: list[Part] = [LinkPart(self._network, self._line), *parts(around)]
        self._login.register(self._desk)
        Counter(around, self.log, self._login).register()
        local = LocalServer(self._runtime, self._desk, self._page_user, self._report)
        watch: Watch | None = None
        try:
            await self._network.begin()
            await local.start()
            watch = Watch(self._network, self._report)
            await self._configuration.begin(running)
            setup.resume()
            await self._until_stopped(self._work(setup))
        finally:
            await setup.close()
            if self._sessions is not None:
                await self._sessions.close("the SiteManager was stopped")
            await self._configuration.close()
            await close_all(running, self._report)
            self._access.close()
            self._appliance.close()
            if watch is not None:
                watch.close()
            await self._network.close()
            await local.stop()
        self._report("ended")

    async def _until_stopped(self, work: Coroutine[Any, Any, None]) -> None:
        assert self._stop is not None  # noqa: S101 - for the type checker
        working = asyncio.create_task(work)
        stopping = asyncio.ensure_future(self._stop.wait())
        try:
            await asyncio.wait({working, stopping}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            stopping.cancel()
            if self._sessions is not None:
                # While there still is a connection by which their ends can be told.
                await self._sessions.close("the SiteManager was stopped")
            if not working.done():
                working.cancel()
            await asyncio.gather(working, return_exceptions=True)
        if not working.cancelled():
            working.result()

    async def _work(self, setup: Setup) -> None:
        if not self._state.is_enrolled:
            self._report("this unit is not enrolled yet: use the set-up page, or sm enrol")
            await setup.until_enrolled()
            await self._configuration.learn_addresses()
        self._state.tidy()
        identity, pin = self._state.identity(), self._state.pin()
        if identity is None or pin is None:
            raise DaemonError("the pin of the GateManager is missing; forget the enrolment with sm reset --yes")
        control = Control(
            self._state,
            lambda: self._configuration.config,
            pin,
            identity,
            self._clock,
            self._report,
            self._line,
            self._keeper_settings,
        )
        config = self._configuration.config
        control.sessions = self._sessions = Sessions(
            self._network,
            control.open_tunnel,
            self._access.reason,
            self._clock,
            control.tell,
            self._report,
            SessionSettings(config.max_sessions, config.control_grace_s),
        )
        self._control = control
        self._report(f"started {SOFTWARE}; GateManager pinned by {pin.describe()}")
        await control.keeper.run()

    def _lock_changed(self) -> None:
        if self._sessions is not None:
            self._sessions.lock_changed()

    def _connected_since(self) -> float | None:
        return None if self._control is None else self._control.connected_at

    def _now(self) -> float:
        return self._clock.now(times.system_unix_s(), times.steady_s())

    def _status(self) -> Status:
        return daemon_status(
            self._state,
            self._configuration,
            self._clock,
            self._access,
            self._control,
            self._sessions,
            self._events.waiting,
        )

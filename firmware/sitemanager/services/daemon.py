"""The daemon, ``sm run``: puts the parts together, runs until told to end, and leaves nothing behind."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import msgspec

from gatelink.identity import fingerprint_text, key_sha256, own_key_sha256
from gatelink.link.keeper import KeeperSettings
from sitemanager.config import Config
from sitemanager.config import load as load_config
from sitemanager.core.clock import GmClock
from sitemanager.core.status import Request, Status
from sitemanager.exceptions import DaemonError
from sitemanager.host import times
from sitemanager.host.lock import RemoteAccessLock
from sitemanager.host.network import Network
from sitemanager.host.state import State

from .control import Control
from .enrolment import SOFTWARE, wait_for_adoption
from .local_server import LocalServer
from .network_state import NetworkState
from .sessions import Sessions, SessionSettings
from .watch import Watch


class Daemon:
    """One run. ``report`` takes one line for each event."""

    def __init__(
        self,
        state: State,
        runtime: Path,
        network: Network,
        report: Callable[[str], None],
        keeper_settings: KeeperSettings | None = None,
    ) -> None:
        self._state = state
        self._runtime = runtime
        self._report = report
        self._keeper_settings = keeper_settings
        self._clock = GmClock()
        self._lock = RemoteAccessLock(state.directory)
        self._config: Config = load_config(state.directory)
        self._network = NetworkState(network, self._config.dev_interfaces, report)
        self._control: Control | None = None
        self._sessions: Sessions | None = None
        self._stop: asyncio.Event | None = None

    def stop(self) -> None:
        """End the run soon."""
        if self._stop is not None:
            self._stop.set()

    async def run(self) -> None:
        """Run until ``stop``, SIGTERM or SIGINT. Raises DaemonError, StateError, NetworkError at the start."""
        if not self._state.is_enrolled and self._state.waiting() is None:
            raise DaemonError("this unit is not enrolled; do it with sm enrol --claim CLAIM, or sm enrol --gm ADDRESS")
        self._stop = asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, self._stop.set)
        local = LocalServer(self._runtime, self._answer)
        watch: Watch | None = None
        try:
            await self._network.begin()
            await local.start()
            watch = Watch(self._network, self._report)
            await self._until_stopped(self._work())
        finally:
            if self._sessions is not None:
                await self._sessions.close("the SiteManager was stopped")
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

    async def _work(self) -> None:
        if not self._state.is_enrolled:
            await wait_for_adoption(self._state, self._config, self._report)
            self._config = load_config(self._state.directory)
        self._state.tidy()
        identity, pin = self._state.identity(), self._state.pin()
        if identity is None or pin is None:
            raise DaemonError("the pin of the GateManager is missing; forget the enrolment with sm reset --yes")
        control = Control(self._state, self._config, pin, identity, self._clock, self._report, self._keeper_settings)
        control.sessions = self._sessions = Sessions(
            self._network,
            control.open_tunnel,
            self._lock.reason,
            self._clock,
            control.tell,
            self._report,
            SessionSettings(self._config.max_sessions, self._config.control_grace_s),
        )
        self._control = control
        self._report(f"started {SOFTWARE}; GateManager pinned by {pin.describe()}")
        await control.keeper.run()

    def _answer(self, request: Request) -> Status:
        if request.command == "lock-changed":
            self._report(f"remote access: {self._lock.reason() or 'allowed'}")
            if self._sessions is not None:
                self._sessions.lock_changed()
        return self._status()

    def _status(self) -> Status:
        steady, system = times.steady_s(), times.system_unix_s()
        now = self._clock.now(system, steady)
        status = Status(
            software=SOFTWARE,
            enrolled=self._state.is_enrolled,
            name="",
            domain="",
            gm_name="",
            connected=False,
            way="",
            since=None,
            lost_reason="",
            pin_serial="",
            pin_key="",
            pin_how="",
            key=fingerprint_text(own_key_sha256(self._state.key())) if self._control is None else "",
            system_clock_set=self._clock.is_system_clock_set(system, steady),
            now=now,
            locked=self._lock.reason(),
            dev_interfaces=self._config.dev_interfaces,
            sessions=(),
        )
        if self._control is None or self._sessions is None:
            return status
        control, keeper = self._control, self._control.keeper
        moment = control.lost_at if control.connected_at is None else control.connected_at
        return msgspec.structs.replace(
            status,
            name=control.known.name,
            domain=control.known.domain,
            gm_name=control.known.gm_name,
            connected=keeper.channel is not None,
            way=str(keeper.way) if keeper.way else "",
            since=None if moment is None else now - (steady - moment),
            lost_reason=control.lost_reason,
            pin_serial=keeper.pin.serial,
            pin_key=fingerprint_text(keeper.pin.key_sha256),
            pin_how=keeper.pin.how,
            key=fingerprint_text(key_sha256(control.identity.certificate)),
            sessions=self._sessions.status(now),
        )

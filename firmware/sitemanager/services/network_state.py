"""The network of all sessions, changed one step at a time in a thread of its own: the event loop never waits for it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import msgspec

from gatelink.messages import Devices, OpenSession
from sitemanager.core.admission import HostNetwork, admit_devices, admit_tunnel
from sitemanager.core.desired import DesiredState, SessionNetwork, session_network
from sitemanager.exceptions import NetworkError
from sitemanager.host.network import Network

T = TypeVar("T")


class NetworkState:
    """Adds, changes and removes sessions at the host's network. Steps are done in the order in which they are asked."""

    def __init__(self, network: Network, dev_interfaces: tuple[str, ...], report: Callable[[str], None]) -> None:
        self.network = network
        self._dev_interfaces = dev_interfaces
        self._report = report
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="network")
        self._sessions: dict[str, SessionNetwork] = {}
        self.observers: list[Callable[[Sequence[SessionNetwork]], None]] = []
        """Told of all sessions whenever one came, changed or went; before a PC's first packet can come."""

    async def use(self, dev_interfaces: tuple[str, ...]) -> None:
        """Reach devices by these interfaces from now on; running sessions as well. Raises NetworkError."""
        if dev_interfaces == self._dev_interfaces:
            return
        before, self._dev_interfaces = self._dev_interfaces, dev_interfaces
        try:
            await self._do(lambda: self._apply(self._sessions))
        except NetworkError:
            self._dev_interfaces = before
            await self._do(lambda: self._apply(self._sessions))
            raise

    async def begin(self) -> None:
        """Have no session, whatever an earlier run left. Raises NetworkError."""
        await self._do(lambda: self.network.apply(self._desired({})))

    async def add(self, message: OpenSession) -> SessionNetwork:
        """Admit a session and make its network. Raises Refused, NetworkError; then nothing of it is left."""
        try:
            return await self._do(lambda: self._add(message))
        finally:
            self._tell()

    async def change(self, session: SessionNetwork, devices: Devices) -> SessionNetwork:
        """Replace what a session may reach. Raises Refused, NetworkError; then the old state is in force still."""
        try:
            return await self._do(lambda: self._change(session, devices))
        finally:
            self._tell()

    async def remove(self, session: SessionNetwork) -> None:
        """Remove a session's network; what cannot be removed is reported, and lets nothing through."""
        await self._do(lambda: self._remove(session))
        self._tell()

    async def known_networks(self) -> Sequence[HostNetwork]:
        """Return the networks of this host. Raises NetworkError."""
        return await self._do(self.network.networks)

    async def verify(self) -> None:
        """Put back what others changed, and report it."""
        try:
            for line in await self._do(self.network.verify):
                self._report(line)
        except NetworkError as error:
            self._report(f"cannot put back what somebody changed: {error}")

    async def close(self) -> None:
        """Remove everything and end the thread."""
        self._sessions = {}
        try:
            await self._do(self.network.clean_up)
        except NetworkError as error:
            self._report(str(error))
        self._thread.shutdown()

    def _tell(self) -> None:
        sessions = tuple(self._sessions.values())
        for observer in self.observers:
            observer(sessions)

    async def _do(self, step: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, step)

    def _add(self, message: OpenSession) -> SessionNetwork:
        networks = self.network.networks()
        admit_tunnel(message.tunnel, networks)
        admit_devices(message.devices, networks, self._dev_interfaces, message.mode)
        session = session_network(message, self.network.free_interface())
        self._apply({**self._sessions, session.interface: session})
        return session

    def _change(self, session: SessionNetwork, devices: Devices) -> SessionNetwork:
        admit_devices(devices, self.network.networks(), self._dev_interfaces, session.mode)
        changed = msgspec.structs.replace(session, devices=devices)
        self._apply({**self._sessions, session.interface: changed})
        return changed

    def _remove(self, session: SessionNetwork) -> None:
        left = {name: other for name, other in self._sessions.items() if name != session.interface}
        try:
            self._apply(left)
        except NetworkError as error:
            self._sessions = left
            self._report(f"cannot remove {session.interface} completely: {error}")

    def _apply(self, wanted: dict[str, SessionNetwork]) -> None:
        try:
            self.network.apply(self._desired(wanted))
        except NetworkError:
            try:
                self.network.apply(self._desired(self._sessions))
            except NetworkError as error:
                self._report(f"cannot go back to the state before: {error}")
            raise
        self._sessions = wanted

    def _desired(self, sessions: dict[str, SessionNetwork]) -> DesiredState:
        return DesiredState(tuple(sessions.values()), self._dev_interfaces)

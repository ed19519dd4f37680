"""One session, from the GateManager's OpenSession to our SessionEnded or SessionRefused.

opening: predecessors leave, the network is made, the leg and the end-to-end TLS are opened.  open: a pump carries
frames in a thread of its own.  ending: the pump says farewell, the network is removed, the GateManager is told.
``stop`` ends it in every phase; whatever happens, the network is removed before the end is told.
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl
import threading
from collections.abc import Awaitable, Callable
from typing import Final, Literal

from gatelink.exceptions import GatelinkError, LinkError, Refused, TrustError
from gatelink.messages import Devices, OpenSession, SessionEnded, SessionRefused
from gatelink.tunnel.pump import Pump, PumpEnd, PumpSettings
from sitemanager.core.desired import SessionNetwork
from sitemanager.exceptions import NetworkError

from .network_state import NetworkState

OpenTunnel = Callable[[OpenSession], Awaitable[ssl.SSLSocket]]
"""Opens our leg and does the end-to-end TLS over it."""
Phase = Literal["opening", "open", "ending"]
MAX_TEXT: Final = 512
_CODES: Final = ((NetworkError, "network"), (TrustError, "trust"), (LinkError, "link"))


class Session:
    """One session; ``run`` once."""

    def __init__(self, message: OpenSession, network: NetworkState, report: Callable[[str], None]) -> None:
        self.message = message
        self.devices: Devices = message.devices
        self.phase: Phase = "opening"
        self.finished = asyncio.Event()
        """Nothing of it is left on the host."""
        self.interface = ""
        self._network = network
        self._report = report
        self._mine: SessionNetwork | None = None
        self._opening: asyncio.Future[ssl.SSLSocket] | None = None
        self._pump: Pump | None = None
        self._stopped: str | None = None

    @property
    def bytes_carried(self) -> tuple[int, int]:
        """Bytes sent to the PC and received from it, so far."""
        if self._pump is None:
            return 0, 0
        counters = self._pump.counters
        return counters.bytes_sent, counters.bytes_received

    def stop(self, reason: str) -> None:
        """End it soon, in whatever phase; only the first reason counts."""
        if self._stopped is not None or self.phase == "ending":
            return
        self._stopped = reason
        if self._pump is not None:
            self._pump.stop(reason)
        elif self._opening is not None:
            self._opening.cancel()

    async def run(
        self, after: list[Session], open_tunnel: OpenTunnel, settings: PumpSettings
    ) -> SessionEnded | SessionRefused:
        """Do everything, when the sessions of ``after`` are finished; return what to tell the GateManager."""
        try:
            return await self._run(after, open_tunnel, settings)
        finally:
            self.phase = "ending"
            if self._mine is not None:
                await self._network.remove(self._mine)
            self.finished.set()

    async def change(self, devices: Devices) -> None:
        """Replace what the PC may reach; the session is stopped where that is not possible."""
        self.devices = devices
        if self._mine is None:
            return  # ``_open`` will see it
        try:
            self._mine = await self._network.change(self._mine, devices)
        except GatelinkError as error:
            self.stop(f"its grants changed to what is not possible here: {error}")

    async def _run(
        self, after: list[Session], open_tunnel: OpenTunnel, settings: PumpSettings
    ) -> SessionEnded | SessionRefused:
        identifier = self.message.session_id
        self._opening = asyncio.ensure_future(self._open(after, open_tunnel))
        try:
            tls = await self._opening
        except asyncio.CancelledError:
            if self._stopped is None:
                raise
            return SessionEnded(session_id=identifier, reason=self._stopped[:MAX_TEXT])
        except Refused as error:
            return SessionRefused(session_id=identifier, code=error.code, text=str(error)[:MAX_TEXT])
        except GatelinkError as error:
            code = next((code for kind, code in _CODES if isinstance(error, kind)), "failed")
            return SessionRefused(session_id=identifier, code=code, text=str(error)[:MAX_TEXT])
        end = await self._carry(tls, settings)
        reason = self._stopped or f"{end.reason.value}{f': {end.detail}' if end.detail else ''}"
        return SessionEnded(
            session_id=identifier,
            reason=reason[:MAX_TEXT],
            bytes_sent=end.bytes_sent,
            bytes_received=end.bytes_received,
        )

    async def _open(self, after: list[Session], open_tunnel: OpenTunnel) -> ssl.SSLSocket:
        for other in after:
            await other.finished.wait()
        adding = asyncio.ensure_future(self._network.add(self.message))
        try:
            self._mine = await asyncio.shield(adding)
        except asyncio.CancelledError:
            # What the thread has begun it will finish: know what there is to remove.
            with contextlib.suppress(GatelinkError):
                self._mine = await adding
            raise
        self.interface = self._mine.interface
        if self.devices != self.message.devices:
            self._mine = await self._network.change(self._mine, self.devices)
        return await open_tunnel(self.message)

    async def _carry(self, tls: ssl.SSLSocket, settings: PumpSettings) -> PumpEnd:
        pump = Pump(self._network.network.tap(self.interface), tls, settings)
        self._pump = pump
        self.phase = "open"
        if self._stopped is not None:
            pump.stop(self._stopped)
        self._report(f"session {self.message.session_id} of {self.message.user} open on {self.interface}")
        return await _in_thread(pump.run, f"pump {self.interface}")


async def _in_thread(work: Callable[[], PumpEnd], name: str) -> PumpEnd:
    """Run ``work`` in a thread of its own: a pool's threads would be waited for when the program ends."""
    loop = asyncio.get_running_loop()
    future: asyncio.Future[PumpEnd] = loop.create_future()

    def run() -> None:
        try:
            end = work()
        except BaseException as error:  # noqa: BLE001 - handed to whoever waits
            loop.call_soon_threadsafe(future.set_exception, error)
        else:
            loop.call_soon_threadsafe(future.set_result, end)

    threading.Thread(target=run, name=name, daemon=True).start()
    return await asyncio.shield(future)

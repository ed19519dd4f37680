"""One pump in its thread, as seen from the event loop."""

from __future__ import annotations

import asyncio
import ssl
import threading
from typing import Any, Final, TypeVar

from gatelink.exceptions import LinkError
from gatelink.tunnel.devices import FrameDevice, TapLike, pump_for
from gatelink.tunnel.near_end import Counters, PumpEnd, PumpHooks, PumpSettings

UP_TIMEOUT_S: Final = 15.0
_REFUSALS: Final = ("ALERT", "Connection reset", "closed without an End")
"""How it looks when the far end of TLS 1.3 does not like our certificate: our handshake was done before it looked."""
_NEXT: Final = "`lm logout` and `lm login` again; if that does not help, the machine's log tells your administrator why"
R = TypeVar("R")


class Carrier:
    """Carries frames from construction on, until ``ended`` is done; owns the TLS connection, never the TAP."""

    def __init__(self, tap: TapLike | FrameDevice, tls: ssl.SSLSocket, keepalive_s: float) -> None:
        loop = asyncio.get_running_loop()
        self.ended: asyncio.Future[PumpEnd] = loop.create_future()
        self._up: asyncio.Future[None] = loop.create_future()
        hooks = PumpHooks(on_up=lambda _hello: _resolve_from_thread(self._up, None))
        self.own_address = str(tls.getsockname()[0])
        self._pump = pump_for(tap, tls, PumpSettings(keepalive_s=keepalive_s), hooks)
        threading.Thread(target=self._run, name=f"tunnel {tap.name}", daemon=True).start()

    @property
    def counters(self) -> Counters:
        """Live figures."""
        return self._pump.counters

    async def wait_up(self) -> None:
        """Wait until the far end began to carry frames, too. Raises LinkError, and then it has ended."""
        either: tuple[asyncio.Future[Any], ...] = (self._up, self.ended)
        await asyncio.wait(either, timeout=UP_TIMEOUT_S, return_when=asyncio.FIRST_COMPLETED)
        if not self._up.done():
            why = self.ended.result().detail if self.ended.done() else f"nothing came within {UP_TIMEOUT_S:.0f} s"
            await self.stop("no hello")
            if any(word in why for word in _REFUSALS):
                why = f"it seems to refuse this PC's certificate ({why}); {_NEXT}"
            raise LinkError(f"the SiteManager did not begin the tunnel: {why}")

    def break_off(self, text: str) -> None:
        """End soon; the text is told to the far end."""
        self._pump.stop(text)

    async def stop(self, text: str) -> PumpEnd:
        """End and wait until the thread uses nothing any more."""
        self.break_off(text)
        return await asyncio.shield(self.ended)

    def _run(self) -> None:
        _resolve_from_thread(self.ended, self._pump.run())


def _resolve_from_thread(future: asyncio.Future[R], value: R) -> None:
    def resolve() -> None:
        if not future.done():
            future.set_result(value)

    future.get_loop().call_soon_threadsafe(resolve)

"""One uplink's lease: BusyBox's DHCP client as a child, heard by a pipe, started again whenever it ends."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable

from gatelink.exceptions import GatelinkError
from sitemanager.core.leases import MOST_LINE_BYTES, parse_event
from sitemanager.core.uplinks import Given
from sitemanager.host.network.dhcp_client import client_argv

AGAIN_S = 5.0
"""Before a client that ended is started again."""


class LeaseClient:
    """Runs until closed; ``changed`` is called whenever ``given`` changed."""

    def __init__(self, interface: str, report: Callable[[str], None], changed: Callable[[], None]) -> None:
        client_argv(interface)
        self._interface = interface
        self._report = report
        self._changed = changed
        self.given: Given | None = None
        self._process: asyncio.subprocess.Process | None = None
        self._is_asked = False
        self._said = ""
        self._task = asyncio.create_task(self._run())

    def ask_again(self) -> None:
        """The cable may lead elsewhere now: ask anew. The lease holds until another one comes, or none does."""
        if self._process is not None:
            self._is_asked = True
            with contextlib.suppress(ProcessLookupError):
                self._process.terminate()

    async def close(self) -> None:
        """End the client; the server keeps the address for us until the lease is over."""
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)

    async def _run(self) -> None:
        while True:
            try:
                await self._listen()
            except (OSError, GatelinkError) as error:
                self._say(f"DHCP on {self._interface}: {error}")
            if not self._is_asked:
                await asyncio.sleep(AGAIN_S)
            self._is_asked = False

    async def _listen(self) -> None:
        last = self.given.address.partition("/")[0] if self.given else ""
        process = self._process = await asyncio.create_subprocess_exec(
            *client_argv(self._interface, last),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
            limit=4 * MOST_LINE_BYTES,
        )
        assert process.stdout is not None  # noqa: S101 - for the type checker
        is_first = True
        try:
            while line := await process.stdout.readline():
                event = parse_event(line)
                # At its start the client says that there is nothing yet: a lease that still runs is kept.
                if event is not None and not (is_first and event.kind == "deconfig"):
                    self._hear(event.given)
                is_first = False
            await process.wait()
        except ValueError:
            self._say(f"DHCP on {self._interface}: the client said more than a line can hold")
        finally:
            self._process = None
            if process.returncode is None:
                process.kill()
                await process.wait()

    def _hear(self, given: Given | None) -> None:
        if given == self.given:
            return
        self.given = given
        if given is None:
            self._say(f"DHCP on {self._interface}: no address")
        else:
            self._say(f"DHCP on {self._interface}: {given.address}, gateway {given.gateway or 'none'}")
        self._changed()

    def _say(self, text: str) -> None:
        if text != self._said:
            self._said = text
            self._report(text)

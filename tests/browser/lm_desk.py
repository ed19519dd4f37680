"""A LinkManager's local page with its agent behind it, on a PC without a kernel; all in one thread of its own."""

from __future__ import annotations

import asyncio
import fcntl
import os
import socket
import threading
from collections.abc import Callable, Coroutine
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, Self, TypeVar

from gatelink.identity import to_pkcs12
from gatelink.messages import AccessDecided, AccessRequested, ApplianceView, DeviceAccess, DeviceState, Service
from inproc.lm_office import DEADLINE_S, PASSWORD, Office, OfficeGm, office_and_gm
from lm_client.home import Home
from lm_client.page.running import link_to_page, serve_at

R = TypeVar("R")
MODBUS, S7, PING = Service("modbus", "tcp", 502, 502), Service("s7", "tcp", 102, 102), Service("ping", "icmp")
ONLINE_SINCE = 1.79e9


def machine(number: int, domain: str, name: str, *, online: bool = True) -> ApplianceView:
    """An appliance with three devices; all machines of one make have the same addresses."""
    devices = tuple(
        DeviceAccess(
            f"d{number}-{place}",
            device,
            f"192.168.50.{10 + place}",
            (S7, MODBUS, PING)[: 3 - place],
            f"100.{96 + number // 8192}.{number // 32 % 256}.{number % 32 * 8 + place}",
        )
        for place, device in enumerate(("plc", "hmi", "drive"))
    )
    states = (
        DeviceState(devices[0].device_id, reachable=True, checked_at=ONLINE_SINCE),
        DeviceState(devices[1].device_id, reachable=False, checked_at=ONLINE_SINCE, text="no answer to ping"),
    )
    return ApplianceView(f"a{number}", domain, name, online, devices, states=states, online_since=ONLINE_SINCE)


def hall() -> tuple[ApplianceView, ...]:
    """A small company: what most engineers see."""
    names = ("press", "saw", "drill", "oven", "packer")
    domains = ("Acme/Hall 3", "Acme/Hall 4", "Acme/Hall 4/Line 1", "Bolt/Plant Graz")
    places = [(domain, name) for domain in domains for name in names]
    return tuple(
        machine(number, domain, name, online=number % 3 != 0) for number, (domain, name) in enumerate(places, 100)
    )


def fleet(count: int = 5000) -> tuple[ApplianceView, ...]:
    """What an integrator sees."""
    return tuple(
        machine(number, f"customer {number // 250:02}/plant {number // 25 % 10}", f"machine {number:04}")
        for number in range(count)
    )


class PageBench:
    """``office`` and ``gm`` may be touched from the test; coroutines run by ``run``."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)
        self._stack = AsyncExitStack()
        self.office: Office
        self.gm: OfficeGm

    def __enter__(self) -> Self:
        self._thread.start()
        self.run(self._open())
        return self

    def __exit__(self, *_: object) -> None:
        self.run(self._stack.aclose())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(DEADLINE_S)
        self._loop.close()

    def run(self, work: Coroutine[Any, Any, R]) -> R:
        """Run a coroutine where everything else runs."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(DEADLINE_S * 3)

    def call(self, function: Callable[[], R]) -> R:
        """Run a function there."""

        async def work() -> R:
            return function()

        return self.run(work())

    def link(self) -> str:
        """What ``lm ui`` opens."""
        return link_to_page(self.office.home)

    def show(self, *appliances: ApplianceView) -> None:
        """Let the GateManager have this tree, and the agent know it."""
        self.gm.appliances = appliances
        self.run(self._look())

    def decide(self, state: Any, text: str = "") -> None:
        """An approver decides about the access that was asked for."""
        decided = AccessDecided(access_id="req-1", appliance_id="a100", name="press", state=state, text=text)
        self.call(lambda: self.gm.send(decided))

    async def _log_in(self) -> None:
        """The agent, in this process, over adapters in memory."""
        await self._stack.enter_async_context(self.office.logged_in())

    async def _look(self) -> None:
        from lm_client.core.local import Appliances, GetAppliances

        await self.office.ask(GetAppliances(), Appliances)

    async def _open(self) -> None:
        enter = self._stack.enter_async_context
        self.office, self.gm = await enter(office_and_gm(self._directory))
        self.gm.access_answer = lambda number: AccessRequested(request_id=number, access_id="req-1")
        await self._log_in()
        home = self.office.home
        lock = os.open(home.page_lock_path, os.O_RDWR | os.O_CREAT, 0o600)
        self._stack.callback(os.close, lock)
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        listening = self._stack.enter_context(socket.socket())
        listening.bind(("127.0.0.1", 0))
        listening.listen(64)
        serving = asyncio.ensure_future(serve_at(home, listening, 1800.0))
        self._stack.push_async_callback(_end, serving)
        await self.office.until(home.page_path.exists, "the page")


async def _end(serving: asyncio.Future[None]) -> None:
    serving.cancel()
    await asyncio.wait({serving})


class LoginBench(PageBench):
    """Nobody is logged in: agents are real processes, started by the page."""

    @property
    def home(self) -> Home:
        """The user's files."""
        return self.office.home

    async def _log_in(self) -> None:
        home, port = self.home, self.gm.scripted.endpoint.port
        home.write(home.config_path, f"schema = 1\n[link]\nports = [{port}]\n".encode())
        home.write(home.identity_path, to_pkcs12(self.office.identity, "anna", PASSWORD))

"""The service that looks after the ways out, on a host in memory: when the link connects anew, and what is refused."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from gatelink.exceptions import InputError
from inproc import virtual_time
from sitemanager.config import Config
from sitemanager.core.local import Caller
from sitemanager.core.uplink_requests import UplinksAnswer, UplinksRequest
from sitemanager.core.uplink_settings import UplinkConfig
from sitemanager.core.uplinks import Seen
from sitemanager.host.network import names
from sitemanager.host.network.fake import FakeNetwork
from sitemanager.host.network.fake_uplinks import FakeUplinks
from sitemanager.host.state import State
from sitemanager.services.appliance_status import ApplianceReport
from sitemanager.services.desk import Desk
from sitemanager.services.gm_line import GmLine
from sitemanager.services.names import NamingLoop, use_servers
from sitemanager.services.network_state import NetworkState
from sitemanager.services.uplinks import LOOK_S, Uplinks

OFFICE = UplinkConfig(name="office", interface="eth0", address="10.20.1.2/24", gateway="10.20.1.1")
MOVED = UplinkConfig(name="office", interface="eth0", address="10.20.1.77/24", gateway="10.20.1.1")
RESERVE = UplinkConfig(name="reserve", interface="eth2", address="198.51.100.130/30", gateway="198.51.100.129")
OVERLAP = Seen("10.0.0.7", overlaps=True, text="10.0.0.0/24 is the machine side's network as well (eth1)")


class Scene:
    """The service, and what it told whom."""

    def __init__(self, directory: Path) -> None:
        self.host = FakeUplinks()
        self.connects_anew: list[str] = []
        self.lines: list[str] = []
        self.line = GmLine()
        self.line.attach(lambda message: True, self.connects_anew.append)
        self.desk = Desk(lambda visit: True)
        self.network = NetworkState(FakeNetwork(), (), self.lines.append)
        self.appliance = ApplianceReport(self.line, lambda: None, lambda: 0.0)
        state = State(directory)
        self.uplinks = Uplinks(
            self.line,
            self.desk,
            self.appliance,
            self.network,
            state,
            lambda: True,
            self.lines.append,
            directory,
            self.host,
        )

    def shown(self) -> list[tuple[str, str, str]]:
        """Name, state and text of each, as the page gets them."""
        answer = self.uplinks._answer(UplinksRequest(), Caller("technician"))
        assert isinstance(answer, UplinksAnswer)
        return [(view.name, view.state, view.text) for view in answer.uplinks]


@contextlib.asynccontextmanager
async def scene(directory: Path) -> AsyncIterator[Scene]:
    made = Scene(directory)
    try:
        yield made
    finally:
        await made.uplinks.close()
        made.appliance.close()
        await made.network.close()


def test_link_connects_anew_when_the_address_of_the_way_in_use_changed_and_only_then(tmp_path: Path) -> None:
    async def story() -> None:
        async with scene(tmp_path) as here:
            await here.uplinks.use(Config(uplinks=(OFFICE, RESERVE)))
            begun = len(here.connects_anew)
            await asyncio.sleep(3 * LOOK_S)
            assert here.shown()[0] == ("office", "active", "reaches the GateManager")
            assert here.shown()[1][1] == "standby"
            await here.uplinks.use(Config(uplinks=(OFFICE, RESERVE), ports=(443,)))
            await here.uplinks.use(Config(uplinks=(RESERVE, OFFICE)))
            assert here.host.active[-1] == "office", "a better one is in reserve first"
            assert len(here.connects_anew) == begun
            await here.uplinks.use(Config(uplinks=(MOVED, RESERVE)))
            assert len(here.connects_anew) > begun
            before = len(here.connects_anew)
            await here.uplinks.use(Config())
            assert len(here.connects_anew) == before + 1
            assert here.host.cleaned_up == 1

    virtual_time.run(story())


def test_way_into_the_machines_network_is_refused_once_and_does_not_hold_up_other_changes(tmp_path: Path) -> None:
    async def story() -> None:
        async with scene(tmp_path) as here:
            await here.uplinks.use(Config(uplinks=(OFFICE,)))
            here.host.seen["eth2"] = OVERLAP
            with pytest.raises(InputError, match=r"uplink reserve: 10\.0\.0\.0/24 is the machine side's"):
                await here.uplinks.use(Config(uplinks=(OFFICE, RESERVE)))
            await here.uplinks.use(Config(uplinks=(OFFICE,)))
            # Later, by somebody else's change: what is there already is shown, and refuses nothing more.
            here.host.seen["eth0"] = OVERLAP
            await asyncio.sleep(2 * LOOK_S)
            assert here.shown() == [("office", "failed", OVERLAP.text)]
            await here.uplinks.use(Config(uplinks=(OFFICE, UplinkConfig(name="third", interface="eth3"))))

    virtual_time.run(story())


def test_what_an_earlier_run_left_is_removed_when_there_are_no_ways_out_to_look_after(tmp_path: Path) -> None:
    async def story() -> None:
        async with scene(tmp_path) as here:
            await here.uplinks.use(Config())
            assert here.host.cleaned_up == 1
            assert here.connects_anew == []

    virtual_time.run(story())


def serve_names(server: socket.socket, times: int) -> None:
    """A name server that knows one address for every name; the first answer to each question is somebody else's."""
    for _ in range(times):
        asked, client = server.recvfrom(512)
        answer = b"\x81\x80\0\1\0\1\0\0\0\0" + asked[12:]
        record = b"\xc0\x0c\0\1\0\1\0\0\0\x3c\0\4\xcb\0\x71"
        server.sendto(bytes([asked[0] ^ 1, asked[1]]) + answer + record + b"\x42", client)
        server.sendto(asked[:2] + answer + record + b"\x0a", client)


def test_names_are_asked_for_at_the_servers_of_the_way_in_use(monkeypatch: pytest.MonkeyPatch) -> None:
    async def story() -> list[str]:
        loop = asyncio.get_running_loop()
        use_servers(("127.0.0.1",), "lo")
        found = await loop.getaddrinfo("gm.acme.example", 443, type=socket.SOCK_STREAM)
        plain = await loop.getaddrinfo("192.0.2.7", 443, type=socket.SOCK_STREAM)
        use_servers((), "")
        local = await loop.getaddrinfo("localhost", 443, type=socket.SOCK_STREAM)
        return [str(entry[4][0]) for entry in (*found, *plain, local[0])]

    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind(("127.0.0.1", 0))
        monkeypatch.setattr(names, "PORT", server.getsockname()[1])
        monkeypatch.setattr(names, "PATIENCE_S", 60.0)
        thread = threading.Thread(target=serve_names, args=(server, 1))
        thread.start()
        loop = NamingLoop()
        try:
            found = loop.run_until_complete(story())
        finally:
            loop.close()
            thread.join()
    assert found[:2] == ["203.0.113.10", "192.0.2.7"]
    assert found[2] in ("127.0.0.1", "::1")

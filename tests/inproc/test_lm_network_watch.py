"""A PC that slept, or has another address, makes its lines anew at once instead of waiting for keepalives."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from inproc.lm_office import DEADLINE_S, office_and_gm
from lm_client.agent import network_watch
from lm_client.agent.network_watch import NetworkWatch, has_address
from lm_client.core.local import ConnectedTo, ConnectTo, GetStatus, Status


def test_own_addresses_are_known() -> None:
    assert has_address("127.0.0.1")
    assert not has_address("192.0.2.1")
    assert not has_address("2001:db8::1")


def test_only_lines_of_a_lost_address_are_given_up() -> None:
    async def run() -> None:
        given_up: list[str] = []
        lines = [("127.0.0.1", given_up.append), ("192.0.2.1", given_up.append), ("", given_up.append)]
        watch = NetworkWatch(lambda: lines, lambda _text: None)
        watch.start()
        watch.check()
        watch.close()
        watch.close()
        assert given_up == ["this PC's address 192.0.2.1 is gone"]

    asyncio.run(run())


def test_every_line_is_made_anew_when_the_pc_slept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asleep_s = 0.0
    monkeypatch.setattr(network_watch, "LOOK_S", 0.02)
    monkeypatch.setattr(network_watch, "_asleep_s", lambda: asleep_s)

    async def run() -> None:
        nonlocal asleep_s
        async with office_and_gm(tmp_path) as (office, gm), office.logged_in():
            await office.ask(ConnectTo(target="press"), ConnectedTo)
            asleep_s = 600.0
            await gm.until(lambda: len(gm.logins) == 2, "the next login")
            await gm.far_end(2)
            await office.until(lambda: "slept for 600 s" in office.log, "the note")
            await office.until(lambda: office.log.count("up on gl0") == 2, "the session on the new line")
            (session,) = (await office.ask(GetStatus(), Status)).sessions
            assert session.reconnects == 1
            assert len(gm.logins) == 2

    asyncio.run(run())


def test_every_line_is_given_up_when_the_program_stood_still(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(network_watch, "LOOK_S", 0.02)
    monkeypatch.setattr(network_watch, "STOOD_STILL_S", 0.1)

    async def run() -> None:
        given_up: asyncio.Queue[str] = asyncio.Queue()
        watch = NetworkWatch(lambda: [("127.0.0.1", given_up.put_nowait)], lambda _text: None, lambda: 0.0)
        watch.start()
        begin = asyncio.get_running_loop().time()
        while asyncio.get_running_loop().time() - begin < 0.2:
            pass
        async with asyncio.timeout(DEADLINE_S):
            assert "stood still" in await given_up.get()
        watch.close()

    asyncio.run(run())

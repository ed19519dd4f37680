"""Sessions that come and go leave nothing in the daemon: no descriptor, no adapter, no thread."""

from __future__ import annotations

import asyncio
import os
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from gatelink.messages import EndSession, SessionEnded
from inproc.sm_site import DEADLINE_S, FarEnd, Site, SiteGm, eventually, open_session, site_and_gm

WARM, SESSIONS = 5, 60
WORKERS = 8
"""Of the event loop, for what blocks."""


async def come_and_go(gm: SiteGm, site: Site, number: int) -> None:
    """One session, from its announcement to its end."""
    far_end = await open_session(gm, site, FarEnd(f"s{number}"))
    gm.send(EndSession(session_id=far_end.session_id, code="user", reason="over"))
    await far_end.ended()
    await gm.told(SessionEnded, far_end.session_id)
    gm.far_ends.clear()
    gm.messages.clear()


async def fill_the_pool() -> None:
    """Start every worker there will be: how many are needed at a time is a matter of chance, and none ever ends."""
    asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(WORKERS))
    together = threading.Barrier(WORKERS)
    await asyncio.gather(*(asyncio.to_thread(together.wait, DEADLINE_S) for _ in range(WORKERS)))


def held() -> tuple[int, int]:
    """Descriptors and threads of this process."""
    return len(os.listdir("/proc/self/fd")), threading.active_count()  # noqa: PTH208 - names alone


def is_no_more(now: tuple[int, int], before: tuple[int, int]) -> bool:
    return now[0] <= before[0] and now[1] <= before[1]


def test_nothing_grows_when_sessions_come_and_go(tmp_path: Path) -> None:
    async def scenario() -> None:
        await fill_the_pool()
        async with site_and_gm(tmp_path) as (site, gm):
            for number in range(WARM):
                await come_and_go(gm, site, number)
            before = held()
            for number in range(WARM, WARM + SESSIONS):
                await come_and_go(gm, site, number)
            await eventually(lambda: is_no_more(held(), before), "descriptors and threads to be as before")
            assert site.network.taps == {}
            assert not site.network.state.sessions

    asyncio.run(scenario())

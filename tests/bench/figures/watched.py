"""500 appliances come and go while 50 browsers watch: real logins, real streams over TLS, one server on loopback.

Every browser must be told of every coming and going, or the figure is an error; what it costs is measured.
"""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from bench.figures.portal import processor_s, wait_for
from bench.results import Pair, Result
from bench.scene import Scene
from bench.watchers import Watchers, make
from gm_server.config import Limits
from inproc.gm_running import make_directory
from lab import LabError

NAME = "watched"
_APPLIANCES: Final = 500
_BROWSERS: Final = 50
_DEADLINE_S: Final = 900.0


def measure(_scene: Scene, rounds: int) -> Sequence[Result]:
    """Time of the overview page meanwhile, and the server's processor time for all coming and going once."""
    with tempfile.TemporaryDirectory() as folder:
        return _measure(Path(folder), rounds)


def _measure(folder: Path, rounds: int) -> list[Result]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    limits = Limits(pending_per_address=2048, web_per_address=256)
    directory = make_directory(folder / "gm", name="bench", listen=(f"127.0.0.1:{port}",), limits=limits)
    cookies = make(directory, _BROWSERS)
    fleet = [sys.executable, "-P", "-m", "bench.fleet"]
    subprocess.run([*fleet, "make", folder / "gm", folder / "fleet", str(_APPLIANCES)], check=True)
    program = [sys.executable, "-P", "-c", "from gm_server.cli import main; main()"]
    with subprocess.Popen([*program, "--data", folder / "gm", "serve"], stderr=subprocess.DEVNULL) as server:
        try:
            wait_for(port)
            units = [*fleet, "run", str(folder / "fleet"), "127.0.0.1", str(port)]
            found = asyncio.run(_waves(port, cookies, units, server.pid, rounds))
        except TimeoutError:
            raise LabError(f"not everybody was told within {_DEADLINE_S:g} s") from None
        finally:
            server.terminate()
    pages = tuple(Pair(page_s * 1000, 0) for page_s, _ in found)
    costs = tuple(Pair(cost_s, 0) for _, cost_s in found)
    what = f"{_APPLIANCES} appliances come and go, {_BROWSERS} browsers watch"
    return [
        Result(f"overview page, {what}", "ms", "", pages, more_is_better=False),
        Result(f"GM processor time, {what}", "s", "", costs, more_is_better=False),
    ]


async def _waves(port: int, cookies: list[str], units: list[str], pid: int, rounds: int) -> list[tuple[float, float]]:
    async with asyncio.timeout(_DEADLINE_S * rounds), Watchers(port, cookies) as watchers:
        return [await _wave(watchers, units, pid) for _ in range(rounds)]


async def _wave(watchers: Watchers, command: list[str], pid: int) -> tuple[float, float]:
    """Let all of them come and go; return the median time of the page meanwhile and the processor time, in seconds."""
    before_s, told = processor_s(pid), list(watchers.told)
    pages: list[float] = []
    units = await asyncio.create_subprocess_exec(*command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    assert units.stdout is not None
    try:
        coming = asyncio.create_task(units.stdout.readline())
        while not coming.done():
            pages.append(await watchers.overview_s(len(pages) % _BROWSERS))
        await watchers.all_told(told)
    finally:
        told = list(watchers.told)
        os.kill(units.pid, signal.SIGKILL)
        await units.wait()
    await watchers.all_told(told)
    return statistics.median(pages), processor_s(pid) - before_s

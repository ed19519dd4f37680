"""Pages and API answers a second, with 10,000 appliances, 1,000 users and 20,000 past sessions in SQLite.

One server process on loopback, asked over TLS by eight connections from another process.
"""

from __future__ import annotations

import asyncio
import json
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from bench.portal import Asker
from bench.results import Pair, Result
from bench.scene import Scene

NAME = "portal"
_SECONDS: Final = 4.0
_CONNECTIONS: Final = 8
_START_S: Final = 60.0
_PAGES: Final = (
    ("overview", "/"),
    ("appliances", "/appliances"),
    ("search", "/appliances?search=unit+0042"),
    ("appliance", "/appliances/{appliance}"),
    ("users", "/users"),
    ("grants", "/grants"),
    ("sessions", "/sessions"),
    ("audit", "/audit"),
)
_API: Final = (("API appliances", "/api/v1/appliances?limit=50"), ("API users", "/api/v1/users?limit=50"))


def measure(_scene: Scene, rounds: int) -> Sequence[Result]:
    """Answers a second of the main pages and of the API."""
    with tempfile.TemporaryDirectory() as folder:
        return _measure(Path(folder), rounds)


def _measure(folder: Path, rounds: int) -> list[Result]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    made = json.loads(
        subprocess.run(
            [sys.executable, "-P", "-m", "bench.portal", "make", str(folder / "gm"), str(port)],
            capture_output=True,
            check=True,
        ).stdout
    )
    program = [
        sys.executable,
        "-P",
        "-c",
        "from gm_server.cli import main; main()",
        "--data",
        str(folder / "gm"),
        "serve",
    ]
    with subprocess.Popen(program, stderr=subprocess.DEVNULL) as server:
        try:
            _wait_for(port)
            browser = Asker(port, {"Cookie": f"__Host-gatelink={made['cookie']}"})
            program_ = Asker(port, {"Authorization": f"Bearer {made['token']}"})
            return [
                Result(f"{name} page", "1/s", "", _rates(browser, address.format(**made), rounds))
                for name, address in _PAGES
            ] + [Result(name, "1/s", "", _rates(program_, address, rounds)) for name, address in _API]
        finally:
            server.terminate()


def _rates(asker: Asker, address: str, rounds: int) -> tuple[Pair, ...]:
    return tuple(Pair(asyncio.run(asker.rate(address, _SECONDS, _CONNECTIONS)), 0) for _ in range(rounds))


def _wait_for(port: int) -> None:
    deadline = time.monotonic() + _START_S
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)
        else:
            return

"""Pages and API answers a second, with 10,000 appliances, 1,000 users and 20,000 past sessions in SQLite.

One server process on loopback, asked over TLS by eight connections from another process.
"""

from __future__ import annotations

import asyncio
import json
import os
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
            wait_for(port)
            browser = Asker(port, {"Cookie": f"__Host-gatelink={made['cookie']}"})
            program_ = Asker(port, {"Authorization": f"Bearer {made['token']}"})
            results: list[Result] = []
            for name, address in _PAGES:
                results += _asked(f"{name} page", browser, address.format(**made), rounds, server.pid)
            for name, address in _API:
                results += _asked(name, program_, address, rounds, server.pid)
            return results
        finally:
            server.terminate()


def _asked(name: str, asker: Asker, address: str, rounds: int, pid: int) -> list[Result]:
    """Answers a second, and what each costs the server: the latter says the same on a busy machine."""
    rates, costs = [], []
    for _ in range(rounds):
        before_s = processor_s(pid)
        rate = asyncio.run(asker.rate(address, _SECONDS, _CONNECTIONS))
        rates.append(Pair(rate, 0))
        costs.append(Pair((processor_s(pid) - before_s) / max(rate * _SECONDS, 1) * 1000, 0))
    return [
        Result(name, "1/s", "", tuple(rates)),
        Result(f"GM processor time, {name}", "ms", "", tuple(costs), more_is_better=False),
    ]


def processor_s(pid: int) -> float:
    """Return the processor time of a process so far."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def wait_for(port: int) -> None:
    """Wait until somebody serves there."""
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

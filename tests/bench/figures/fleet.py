"""2,000 idle SiteManagers at one GateManager, and all of them coming back after it restarts. Real TLS, real logins."""

from __future__ import annotations

import os
from pathlib import Path

from bench.results import Pair, Result
from bench.scene import Scene, python_module
from lab import Process
from lab.products import GateManager

NAME = "fleet"
_SIZE = 2000
_SITES = 64
_ADDRESS, _PORT = "203.0.113.11", 12444
_WANTED_KIB = 32.0
_TESTS = Path(__file__).resolve().parents[2]


def measure(scene: Scene, rounds: int) -> list[Result]:
    """KiB of resident memory an idle SM costs the GM; seconds until all are back; processor time a handshake."""
    gm = GateManager(scene.lab, name="fleet-gm")
    gm.run("init", "--name", "fleet", "--address", _ADDRESS, "--listen", f"{_ADDRESS}:{_PORT}")
    directory = scene.lab.run_directory / "fleet"
    environment = {"PYTHONPATH": str(_TESTS)}
    place = scene.lab.internet
    place.run(python_module("bench.fleet", "make", str(gm.data), str(directory), str(_SIZE)), env=environment)
    _spread(scene)
    process = gm.start()
    empty_kib = _resident_kib(process)
    fleet = scene.lab.site.start_module("bench.fleet", "run", str(directory), _ADDRESS, str(_PORT))
    fleet.wait_for_line("all up after", 300)
    each_kib = (_resident_kib(process) - empty_kib) / _SIZE
    seconds, processor_ms = [], []
    for _ in range(rounds):
        said = len(fleet.lines)
        process.kill9()
        process = gm.start()
        before_s = _processor_s(process)
        seconds.append(float(fleet.wait_for_line(r"all up after ([\d.]+) s", 300, after=said)[1]))
        processor_ms.append((_processor_s(process) - before_s) / _SIZE * 1000)
    fleet.kill9()
    process.kill9()
    memory = (Pair(each_kib, _WANTED_KIB),)
    return [
        Result("memory an idle SM", "KiB", "at most", memory, 1.0, more_is_better=False),
        Result(f"{_SIZE} SMs back after a restart", "s", "", tuple(Pair(value, 0) for value in seconds)),
        Result("GM processor time a login", "ms", "", tuple(Pair(value, 0) for value in processor_ms)),
    ]


def _spread(scene: Scene) -> None:
    """Let the connections come from many addresses in turn, as units at many sites do."""
    sources = [f"192.0.2.{number}" for number in range(64, 64 + _SITES)]
    scene.lab.internet.run(["ip", "route", "add", "192.0.2.64/26", "via", "192.0.2.2"])
    by_turns = ", ".join(f"{number} : {source}" for number, source in enumerate(sources))
    rule = f"ip daddr {_ADDRESS} snat to numgen inc mod {_SITES} map {{ {by_turns} }};"
    scene.lab.factory.run(
        ["nft", f"table ip fleet {{ chain out {{ type nat hook postrouting priority srcnat - 5; {rule} }}; }}"]
    )


def _resident_kib(process: Process) -> float:
    status = Path(f"/proc/{process.pid}/status").read_text(encoding="ascii")
    return float(next(line.split()[1] for line in status.splitlines() if line.startswith("VmRSS")))


def _processor_s(process: Process) -> float:
    fields = Path(f"/proc/{process.pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

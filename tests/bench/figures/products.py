"""The real gm, sm and lm, with grants and rules in force, against the bare data path of the other figures.

The other figures share one site with the OpenVPN hub, which the SiteManager's rules would shut out: so they run tunnel
and relay without the three programs around them. What these add is measured here, in a lab of its own.
"""

from __future__ import annotations

import time
from pathlib import Path

from bench import probes
from bench.results import Pair, Result
from bench.scene import MODBUS_PORT, Scene, python_module
from lab import Lab, ping
from lab.products import APPLIANCE, DEVICE, PLC_ADDRESS, System

NAME = "products"
_SECONDS = 3
_IPERF_PORT = 5201
_TESTS = Path(__file__).resolve().parents[2]


def measure(scene: Scene, rounds: int) -> list[Result]:
    """Throughput, Modbus requests and idle ping, each with the programs and without, in turn."""
    found: dict[tuple[str, str], list[Pair]] = {}
    connects: list[Pair] = []
    with Lab(f"{scene.lab.prefix}p") as lab, System(lab) as system:
        _serve(lab, system)
        scene.take("gatelink")
        for _ in range(rounds):
            ours, bare = _measure(lab), _measure(scene.lab)
            for figure, value in ours.items():
                found.setdefault(figure, []).append(Pair(value, bare[figure]))
            connects.append(_connect(system))
    connecting = Result(
        "lm connect to the first answered ping", "s", "lm --version", tuple(connects), more_is_better=False
    )
    return [
        connecting,
        *(
            Result(f"whole system: {figure}", unit, "bare path", tuple(pairs), more_is_better=unit != "ms")
            for (figure, unit), pairs in found.items()
        ),
    ]


def _connect(system: System) -> Pair:
    """How long a person waits, beside how long the command takes to start at all; what was open is open again."""
    lm = system.lm
    lm.run("disconnect", APPLIANCE)
    begin = time.perf_counter()
    lm.run("connect", APPLIANCE)
    assert ping(system.lab.pc, PLC_ADDRESS, 1).received == 1
    connected = time.perf_counter()
    lm.run("--version")
    return Pair(connected - begin, time.perf_counter() - connected)


def _serve(lab: Lab, system: System) -> None:
    for service, port in (("iperf", _IPERF_PORT), ("bench", MODBUS_PORT)):
        system.gm.run("services", "add", DEVICE, service, "--tcp", str(port))
    lab.plant.start(["iperf3", "--forceflush", "-s"]).wait_for_line("Server listening")
    plc = lab.plant.start_module("bench.modbus_rate", "serve", PLC_ADDRESS, str(MODBUS_PORT))
    plc.wait_for_line("PLC listens")
    system.lm.run("connect", APPLIANCE)


def _measure(lab: Lab) -> dict[tuple[str, str], float]:
    argv = python_module("bench.modbus_rate", "ask", PLC_ADDRESS, str(MODBUS_PORT), str(_SECONDS))
    return {
        ("TCP to plant", "Gbit/s"): probes.throughput(lab.pc, PLC_ADDRESS, reverse=False) * 8e-9,
        ("TCP from plant", "Gbit/s"): probes.throughput(lab.pc, PLC_ADDRESS, reverse=True) * 8e-9,
        ("Modbus", "requests/s"): float(lab.pc.run(argv, env={"PYTHONPATH": str(_TESTS)}).stdout),
        ("ping, idle", "ms"): probes.ping_ms(lab.pc, PLC_ADDRESS, count=150, interval_s=0.01),
    }

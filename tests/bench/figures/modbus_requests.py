"""Modbus requests a second on one connection, and an idle ping, against the OpenVPN hub."""

from __future__ import annotations

from pathlib import Path

from bench import probes
from bench.results import Result
from bench.scene import MODBUS_PORT, Scene, python_module

NAME = "modbus"
_SECONDS = 3
_TESTS = Path(__file__).resolve().parents[2]


def measure(scene: Scene, rounds: int) -> list[Result]:
    """Requests a second (bare sockets, see ``modbus_rate``) and milliseconds."""
    argv = python_module("bench.modbus_rate", "ask", probes.PLC_ADDRESS, str(MODBUS_PORT), str(_SECONDS))

    def requests() -> float:
        return float(scene.lab.pc.run(argv, env={"PYTHONPATH": str(_TESTS)}).stdout)

    def ping() -> float:
        return probes.ping_ms(scene.lab.pc, probes.PLC_ADDRESS, count=150, interval_s=0.01)

    return [
        Result("Modbus, one connection", "requests/s", "OpenVPN hub", scene.pairs(requests, rounds), 0.8),
        Result("ping, idle line", "ms", "OpenVPN hub", scene.pairs(ping, rounds), more_is_better=False),
    ]

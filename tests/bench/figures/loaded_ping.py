"""Ping while one TCP connection takes all it can of an unlimited line, against the OpenVPN hub."""

from __future__ import annotations

from bench import probes
from bench.results import Result
from bench.scene import Scene

NAME = "loaded-ping"
_SECONDS = 5


def measure(scene: Scene, rounds: int) -> list[Result]:
    """Milliseconds, with each direction filled."""
    results = []
    for direction, reverse in (("PC to plant", False), ("plant to PC", True)):

        def ping(reverse: bool = reverse) -> float:
            load = probes.load(scene.lab.pc, probes.PLC_ADDRESS, reverse=reverse, seconds=_SECONDS)
            found = probes.ping_ms(scene.lab.pc, probes.PLC_ADDRESS, count=150)
            probes.load_rate(load, _SECONDS)
            return found

        pairs = scene.pairs(ping, rounds)
        results.append(Result(f"ping, {direction} filled", "ms", "OpenVPN hub", pairs, 0.5, more_is_better=False))
    return results

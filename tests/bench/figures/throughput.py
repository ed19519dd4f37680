"""One TCP connection between the PC and the plant, each direction, against the OpenVPN hub."""

from __future__ import annotations

from bench import probes
from bench.results import Pair, Result
from bench.scene import Scene

NAME = "throughput"


def measure(scene: Scene, rounds: int) -> list[Result]:
    """Mbit/s to the plant and from it."""
    results = []
    for direction, reverse in (("PC to plant", False), ("plant to PC", True)):

        def mbit(reverse: bool = reverse) -> float:
            return probes.throughput(scene.lab.pc, probes.PLC_ADDRESS, reverse=reverse) * 8e-6

        pairs: tuple[Pair, ...] = scene.pairs(mbit, rounds)
        results.append(Result(f"TCP {direction}", "Mbit/s", "OpenVPN hub", pairs, 5.0))
    return results

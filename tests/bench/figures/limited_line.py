"""A site line of 20 Mbit/s whose queue holds 100 ms, each direction filled by one TCP connection, against no tunnel."""

from __future__ import annotations

from bench import probes
from bench.results import Pair, Result
from bench.scene import Scene, Way

NAME = "limited-line"
_MBIT, _QUEUE_MS, _SECONDS = 20.0, 100.0, 10
_PINGS, _INTERVAL_S = 60, 0.1


def measure(scene: Scene, rounds: int) -> list[Result]:
    """The share of the line that is used, and the ping meanwhile."""
    line = scene.lab.line("factory-site")
    line.change(rate_mbit=_MBIT, queue_ms=_QUEUE_MS)
    try:
        results = []
        for direction, reverse in (("up", True), ("down", False)):
            ours, none = [], []
            for _ in range(rounds):
                ours.append(_fill(scene, "gatelink", reverse=reverse))
                none.append(_fill(scene, "none", reverse=reverse))
            shares = tuple(Pair(rate * 8e-6, _MBIT) for rate, _ in ours)
            pings = tuple(Pair(mine[1], other[1]) for mine, other in zip(ours, none, strict=True))
            results += [
                Result(f"20 Mbit/s line filled {direction}", "Mbit/s", "the line", shares, 0.9),
                Result(f"ping, filled {direction}", "ms", "no tunnel", pings, 1.5, more_is_better=False),
            ]
        return results
    finally:
        line.clear()


def _fill(scene: Scene, way: Way, *, reverse: bool) -> tuple[float, float]:
    scene.take(way)
    load = probes.load(scene.lab.pc, probes.PLC_ADDRESS, reverse=reverse, seconds=_SECONDS)
    ping = probes.ping_ms(scene.lab.pc, probes.PLC_ADDRESS, count=_PINGS, interval_s=_INTERVAL_S)
    return probes.load_rate(load, _SECONDS), ping

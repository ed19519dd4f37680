"""A site line of 20 Mbit/s whose queue holds 100 ms, each direction filled by one TCP connection, against no tunnel.

The connection's sender uses CUBIC, as Windows, Linux and what runs on PLCs do by default. Where the kernel has BBR the
same is measured with that: it keeps queues short by itself, so that a tunnel can only add to them.
"""

from __future__ import annotations

from pathlib import Path

from bench import probes
from bench.results import Pair, Result
from bench.scene import Scene, Way

NAME = "limited-line"
_MBIT, _QUEUE_MS, _SECONDS = 20.0, 100.0, 12
_PINGS, _INTERVAL_S = 80, 0.1


def measure(scene: Scene, rounds: int) -> list[Result]:
    """The share of the line that is used, and the ping meanwhile."""
    line = scene.lab.line("factory-site")
    line.change(rate_mbit=_MBIT, queue_ms=_QUEUE_MS)
    try:
        return [
            result
            for congestion in _algorithms()
            for direction, reverse in (("up", True), ("down", False))
            for result in _filled(scene, rounds, congestion, direction, reverse=reverse)
        ]
    finally:
        line.clear()


def _algorithms() -> list[str]:
    available = Path("/proc/sys/net/ipv4/tcp_available_congestion_control").read_text(encoding="ascii").split()
    return [name for name in ("cubic", "bbr") if name in available]


def _filled(scene: Scene, rounds: int, congestion: str, direction: str, *, reverse: bool) -> list[Result]:
    measured = [[_fill(scene, way, congestion, reverse=reverse) for way in ("gatelink", "none")] for _ in range(rounds)]
    shares = tuple(Pair(ours[0] * 8e-6, _MBIT) for ours, _ in measured)
    pings = tuple(Pair(ours[1], none[1]) for ours, none in measured)
    name = f"{direction} by {congestion.upper()}"
    return [
        Result(f"20 Mbit/s line filled {name}", "Mbit/s", "the line", shares, 0.9),
        Result(f"ping, line filled {name}", "ms", "no tunnel", pings, 1.5, more_is_better=False),
    ]


def _fill(scene: Scene, way: Way, congestion: str, *, reverse: bool) -> tuple[float, float]:
    """Bytes a second and milliseconds; the pings begin when the queue has had time to fill."""
    scene.take(way)
    load = probes.load(scene.lab.pc, probes.PLC_ADDRESS, reverse=reverse, seconds=_SECONDS, congestion=congestion)
    load.wait_for_line(r"2\.50-3\.00|2\.5\d-3\.0\d", 15)
    ping = probes.ping_ms(scene.lab.pc, probes.PLC_ADDRESS, count=_PINGS, interval_s=_INTERVAL_S)
    return probes.load_rate(load, _SECONDS), ping

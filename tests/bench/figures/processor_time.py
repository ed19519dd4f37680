"""Processor time of each process for a GiB carried through the tunnel, against the OpenVPN hub's."""

from __future__ import annotations

from bench import probes
from bench.results import Pair, Result
from bench.scene import Scene, Way

NAME = "processor"
_SECONDS = 4


def measure(scene: Scene, rounds: int) -> list[Result]:
    """Seconds a GiB, half of it in each direction."""
    ours = {"PC": scene.gatelink.pc_pid, "site": scene.gatelink.site_pid, "relay": scene.gatelink.relay_pid}
    hub = {"PC": scene.hub.pc_pid, "site": scene.hub.site_pid, "relay": scene.hub.hub_pid}
    found: dict[str, list[Pair]] = {part: [] for part in ours}
    for _ in range(rounds):
        mine, others = _used(scene, "gatelink", ours), _used(scene, "hub", hub)
        for part, pairs in found.items():
            pairs.append(Pair(mine[part], others[part]))
    return [
        Result(f"processor, {part}", "s/GiB", "OpenVPN hub", tuple(pairs), more_is_better=False)
        for part, pairs in found.items()
    ]


def _used(scene: Scene, way: Way, pids: dict[str, int]) -> dict[str, float]:
    scene.take(way)
    before = {part: probes.processor_s(pid) for part, pid in pids.items()}
    gib = 0.0
    for reverse in (False, True):
        # The first second is carried but not counted by iperf3.
        rate = probes.throughput(scene.lab.pc, probes.PLC_ADDRESS, reverse=reverse, seconds=_SECONDS)
        gib += rate * (_SECONDS + 1) / 2**30
    return {part: (probes.processor_s(pid) - before[part]) / gib for part, pid in pids.items()}

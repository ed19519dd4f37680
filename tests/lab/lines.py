"""A line between two places, and everything that can be wrong with it.

Each line is two veth wires that meet in a hidden namespace, where nftables hands every frame from one to the other.
All faults are made there, so that neither end sees anything of them but their effect, and nothing of the lab stands in
the ends' own filters or queues. It costs about 3 microseconds a round trip and no throughput that could be measured
against a plain veth pair.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from lab import namespaces
from lab.delaying import Delayer
from lab.exceptions import LabError
from lab.layout import LINES, LineSpec
from lab.states import load, save

_BURST_S = 0.002
_BURST_LEAST_BYTES = 5 * 1514


@dataclass(frozen=True, slots=True)
class Condition:
    """What a line does to the frames on it, in both directions alike; the default is a perfect line.

    cut: frames vanish and neither end notices (no carrier loss, no FIN). unplugged: both ends lose their carrier.
    rate_mbit: a token bucket of this rate (Mbit/s of Ethernet frames), whose queue holds `queue_ms` worth of data.
    loss_percent: each frame is lost with this probability. delay_ms: how long each frame takes, one way, at least.
    """

    cut: bool = False
    unplugged: bool = False
    rate_mbit: float | None = None
    queue_ms: float = 100.0
    loss_percent: float = 0.0
    delay_ms: float = 0.0

    def __post_init__(self) -> None:
        if self.rate_mbit is not None and not 0.01 <= self.rate_mbit <= 100_000:
            raise LabError(f"rate {self.rate_mbit:g} Mbit/s: expected 0.01 to 100000")
        if not 1 <= self.queue_ms <= 60_000:
            raise LabError(f"queue {self.queue_ms:g} ms: expected 1 to 60000")
        if not 0 <= self.loss_percent <= 100:
            raise LabError(f"loss {self.loss_percent:g} percent: expected 0 to 100")
        if not 0 <= self.delay_ms <= 10_000:
            raise LabError(f"delay {self.delay_ms:g} ms: expected 0 to 10000")


class Line:
    """A line of the lab, named after the two places that it joins (`factory-site`)."""

    def __init__(self, prefix: str, spec: LineSpec, run_directory: Path) -> None:
        self.name = spec.name
        self.spec = spec
        self._prefix = prefix
        self._namespace = f"{prefix}-{LINES}"
        self._state = run_directory / f"{spec.name}.line.json"
        self._delayer = Delayer(self._namespace, spec, run_directory)

    def __repr__(self) -> str:
        return f"Line({self.name!r}, {self.condition})"

    @property
    def condition(self) -> Condition:
        """The condition in force, whoever set it."""
        return load(self._state, Condition, Condition())

    def set(self, condition: Condition) -> None:
        """Put the line in exactly this condition. Setting the same again disturbs nothing. Raises LabError."""
        if condition.delay_ms:
            self._delayer.start(condition.delay_ms)
        self._set_frames(condition)
        if not condition.delay_ms:
            self._delayer.stop()
        save(self._state, condition)

    def change(self, **fields: Any) -> None:
        """Change some fields of the condition in force and leave the others: `line.change(rate_mbit=20)`."""
        self.set(replace(self.condition, **fields))

    def cut(self) -> None:
        """From now on frames vanish, and neither end notices."""
        self.change(cut=True)

    def mend(self) -> None:
        """Undo `cut`."""
        self.change(cut=False)

    def unplug(self) -> None:
        """Both ends lose their carrier."""
        self.change(unplugged=True)

    def plug(self) -> None:
        """Undo `unplug`."""
        self.change(unplugged=False)

    def clear(self) -> None:
        """A perfect line again."""
        self.set(Condition())

    def forget(self) -> None:
        """Collect the line's program after the lab has ended everything in it."""
        self._delayer.forget()

    def _set_frames(self, condition: Condition) -> None:
        wires = (self.spec.wire("a"), self.spec.wire("b"))
        state = "down" if condition.unplugged else "up"
        queue = _queue(condition)
        # The lost frame is to be one frame of the line, not 64 KiB that the kernel would cut later.
        frames_at_once = 1 if condition.loss_percent else 65535
        script = [
            "nft -f - <<'END'",
            *_table(self.spec, condition),
            "END",
            "tc -batch - <<'END'",
            *(f"qdisc replace dev {wire} root {queue}" for wire in wires),
            "END",
            *(f"ip link set {wire} {state}" for wire in wires),
        ]
        ends = [
            (f"{self._prefix}-{end.place}", f"ip link set {end.device} gso_max_segs {frames_at_once}")
            for end in (self.spec.a, self.spec.b)
        ]
        namespaces.run_shell_scripts([(self._namespace, "\n".join(script)), *ends])
        namespaces.settle(devices_of(self._prefix, (self.spec,)))


def devices_of(prefix: str, lines: tuple[LineSpec, ...]) -> dict[str, list[str]]:
    """The wires of the lines, their ends, and the bridges that the ends are ports of, by namespace, bridges last."""
    found: dict[str, list[str]] = {}
    for line in lines:
        for side, end in (("a", line.a), ("b", line.b)):
            found.setdefault(f"{prefix}-{LINES}", []).append(line.wire(side))
            found.setdefault(f"{prefix}-{end.place}", []).append(end.device)
    for line in lines:
        for end in (line.a, line.b):
            if end.bridge:
                found[f"{prefix}-{end.place}"].append(end.bridge)
    return found


def table_of_perfect_lines(lines: tuple[LineSpec, ...]) -> str:
    """What nft reads to join the wires of new lines."""
    return "\n".join(row for line in lines for row in _table(line, Condition()))


def _queue(condition: Condition) -> str:
    if condition.rate_mbit is None:
        return "noqueue"
    burst_bytes = max(_BURST_LEAST_BYTES, int(condition.rate_mbit * 1e6 / 8 * _BURST_S))
    return f"tbf rate {condition.rate_mbit * 1000:.0f}kbit burst {burst_bytes} latency {condition.queue_ms:g}ms"


def _table(spec: LineSpec, condition: Condition) -> Iterator[str]:
    """Frames come in by one wire and are handed to the other, or to the delaying program, whose copies go out there.

    What is lost is lost on the way out, which both ways pass.
    """
    table = f"line{spec.index}"
    yield f"add table netdev {table}"
    yield f"delete table netdev {table}"
    yield f"table netdev {table} {{"
    for side, other in (("a", "b"), ("b", "a")):
        wire = f'device "{spec.wire(side)}" priority filter'
        hand_over = "drop" if condition.delay_ms else f'fwd to "{spec.wire(other)}"'
        yield f"  chain from_{side} {{ type filter hook ingress {wire}; {hand_over}; }}"
        lose = f"numgen random mod 100000 < {condition.loss_percent * 1000:.0f} drop" if condition.loss_percent else ""
        yield f"  chain to_{side} {{ type filter hook egress {wire}; {'drop' if condition.cut else lose}; }}"
    yield "}"

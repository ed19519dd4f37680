"""Throughput and latency of a session as lines of a small SVG picture. No I/O."""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Sequence
from typing import Final, NamedTuple

WINDOW_S: Final = 120.0
WIDTH: Final = 360
HEIGHT: Final = 64
_SMALLEST_RATE: Final = 1024.0
"""Bytes a second: below it the plot does not zoom in, or keepalives would look like traffic."""
_SMALLEST_TRIP_S: Final = 0.005


class Sample(NamedTuple):
    """Counters of a session at one moment (seconds of any clock that only goes forward)."""

    at: float
    bytes_sent: int
    bytes_received: int
    rtt_s: float | None


class Picture(NamedTuple):
    """``d`` of three paths, and what the highest point of each scale means."""

    received: str
    sent: str
    latency: str
    top_rate: float
    top_rtt_s: float
    rate_received: float
    rate_sent: float


class History:
    """The last two minutes of one session."""

    def __init__(self) -> None:
        self._samples: deque[Sample] = deque(maxlen=600)

    def add(self, sample: Sample) -> None:
        """Note a moment; one from before the last is of a counter that began anew, and begins anew here, too."""
        if self._samples and sample.bytes_received + sample.bytes_sent < (
            self._samples[-1].bytes_received + self._samples[-1].bytes_sent
        ):
            self._samples.clear()
        self._samples.append(sample)
        while sample.at - self._samples[0].at > WINDOW_S:
            self._samples.popleft()

    def picture(self) -> Picture:
        """Return the lines; the newest moment is at the right edge."""
        samples = list(self._samples)
        steps = [(before, after) for before, after in itertools.pairwise(samples) if after.at > before.at]
        received = [(b.at, (b.bytes_received - a.bytes_received) / (b.at - a.at)) for a, b in steps]
        sent = [(b.at, (b.bytes_sent - a.bytes_sent) / (b.at - a.at)) for a, b in steps]
        trips = [(sample.at, sample.rtt_s) for sample in samples if sample.rtt_s is not None]
        now = samples[-1].at if samples else 0.0
        top = max([_SMALLEST_RATE, *(rate for _, rate in (*received, *sent))])
        top_trip = max([_SMALLEST_TRIP_S, *(trip for _, trip in trips)])
        line = _line(received, now, top)
        area = f"{line}V{HEIGHT}H{_x(received[0][0], now):.1f}Z" if line else ""
        last = (received[-1][1], sent[-1][1]) if steps else (0.0, 0.0)
        return Picture(area, _line(sent, now, top), _line(trips, now, top_trip), top, top_trip, *last)


def _line(points: Sequence[tuple[float, float]], now: float, top: float) -> str:
    if len(points) < 2:
        return ""
    spots = [f"{_x(at, now):.1f} {HEIGHT - 1 - (HEIGHT - 4) * min(value / top, 1.0):.1f}" for at, value in points]
    return "M" + "L".join(spots)


def _x(at: float, now: float) -> float:
    return WIDTH * (1 - (now - at) / WINDOW_S)

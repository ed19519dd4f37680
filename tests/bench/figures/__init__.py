"""The figures, in the order of the table. Each file has NAME and ``measure(scene, rounds)``."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from bench.figures import (
    fleet,
    limited_line,
    loaded_ping,
    modbus_requests,
    portal,
    processor_time,
    products,
    relay_alone,
    throughput,
    watched,
)
from bench.results import Result
from bench.scene import Scene

FIGURES: dict[str, Callable[[Scene, int], Sequence[Result]]] = {
    module.NAME: module.measure
    for module in (
        throughput,
        modbus_requests,
        loaded_ping,
        limited_line,
        relay_alone,
        processor_time,
        products,
        fleet,
        portal,
        watched,
    )
}

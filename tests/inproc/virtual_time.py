"""An asyncio event loop whose clock jumps: hours of keepalives and back-off pass in milliseconds.

Sockets are real (loopback, socket pairs). Time stands still while anything can happen: data is on its way or a job
runs in an executor. When nothing can, the clock jumps to the next timer. ``GRACE_S`` of real time before each jump is
for the kernel, which may deliver loopback data from another thread when the machine is busy.
"""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

T = TypeVar("T")
GRACE_S = 0.002


class _JumpingSelector(selectors.DefaultSelector):
    """Tells the loop that time passed instead of waiting for it."""

    def __init__(self) -> None:
        super().__init__()
        self.loop: VirtualTimeLoop | None = None

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        events = super().select(0)
        if events or self.loop is None or (timeout is not None and timeout <= 0):
            return events
        if timeout is None or self.loop.jobs_running:
            return super().select(None)
        events = super().select(GRACE_S)
        if not events:
            self.loop.now += timeout
        return events


class VirtualTimeLoop(asyncio.SelectorEventLoop):
    """``now`` is its clock in seconds; starts at 1,000."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.jobs_running = 0
        selector = _JumpingSelector()
        super().__init__(selector)
        selector.loop = self

    def time(self) -> float:
        return self.now

    def run_in_executor(  # type: ignore[override]
        self, executor: Any, func: Callable[..., T], *args: Any
    ) -> asyncio.Future[T]:
        self.jobs_running += 1
        future: asyncio.Future[T] = super().run_in_executor(executor, func, *args)
        future.add_done_callback(self._job_done)
        return future

    def _job_done(self, _: asyncio.Future[Any]) -> None:
        self.jobs_running -= 1


def run(conversation: Coroutine[Any, Any, T]) -> T:
    """Run a test's coroutine on a loop of its own with a clock that jumps."""
    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        return runner.run(conversation)

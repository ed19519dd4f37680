"""What a pump needs of an adapter: a descriptor that can be polled (Linux), or calls that wait (Windows)."""

from __future__ import annotations

import ssl
from collections.abc import Callable
from typing import Protocol, runtime_checkable

from .near_end import NearEnd, PumpHooks, PumpSettings
from .offload import Offload


class TapLike(Protocol):
    """What the pump needs of a TAP adapter; see ``tap.Tap``."""

    name: str

    def fileno(self) -> int: ...
    @property
    def offload(self) -> Offload: ...
    def use(self, offload: Offload) -> None: ...
    def ports(
        self, offload: Offload
    ) -> tuple[Callable[[memoryview], int | None], Callable[[memoryview], int | None]]: ...


@runtime_checkable
class FrameDevice(Protocol):
    """An adapter that gives and takes one Ethernet frame a call. Every method raises TapError when it is gone."""

    @property
    def name(self) -> str:
        """For people."""

    def read_frame(self, view: memoryview) -> int:
        """Wait for a frame and return its size; 0 after ``interrupt``. One thread at a time."""

    def write_frame(self, view: memoryview) -> int | None:
        """Give it a frame; OSError for one that it does not take, TapError when no other would be taken either."""

    def interrupt(self) -> None:
        """Let the present or the next ``read_frame`` return 0. Any thread."""


def pump_for(
    device: TapLike | FrameDevice,
    tls: ssl.SSLSocket,
    settings: PumpSettings | None = None,
    hooks: PumpHooks | None = None,
) -> NearEnd:
    """Return the pump that can wait for this adapter: only Linux has the one for descriptors."""
    if isinstance(device, FrameDevice):
        from .portable_pump import PortablePump

        return PortablePump(device, tls, settings, hooks)
    from .pump import Pump

    return Pump(device, tls, settings, hooks)

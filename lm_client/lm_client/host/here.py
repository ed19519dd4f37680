"""What the agent asks of the system that it runs on, without rights. Each system's own is imported when it is used."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Callable
from typing import Final, Protocol

from gatelink.tunnel.devices import FrameDevice, TapLike
from lm_client.service.rules import KernelRoute

_DRAIN_FRAMES: Final = 4096
"""Far above the adapter's queue: only bounds the loop."""
_FRAME_BYTES: Final = 128 * 1024


class AddressNews(Protocol):
    """What tells of changed addresses."""

    def close(self) -> None:
        """Tell no more. Idempotent."""


def routes_of_this_pc() -> list[KernelRoute]:
    """Return every IPv4 route. Raises HostError."""
    if sys.platform == "win32":
        from .windows.dlls import load
        from .windows.ip_helper import IpHelper

        return IpHelper(load("iphlpapi")).routes()
    from . import linux

    return linux.routes_of_this_pc()


def watch_addresses(tell: Callable[[], None]) -> AddressNews | None:
    """Have ``tell`` called, from whatever thread, when an address of this PC changes; None where a reader is told.

    Raises HostError.
    """
    if sys.platform == "win32":
        from .windows import address_news
        from .windows.dlls import load

        return address_news.AddressNews(load("iphlpapi"), tell)
    return None


def take_tap(number: int) -> TapLike | FrameDevice:
    """Return the adapter that the service handed over. Raises TapError, and then it is the caller's still."""
    if sys.platform == "win32":
        from .windows.dlls import load
        from .windows.tap_device import TapDevice

        return TapDevice(load("kernel32"), number, f"{number:#x}")
    from gatelink.tunnel.tap import Tap

    return Tap(number)


def drain(number: int, tap: TapLike | FrameDevice) -> None:
    """Throw away what waits in an adapter that no pump uses now."""
    if sys.platform == "win32":
        from .windows.tap_device import TapDevice

        if isinstance(tap, TapDevice):
            tap.drain()
        return
    with contextlib.suppress(OSError):
        for _ in range(_DRAIN_FRAMES):
            os.read(number, _FRAME_BYTES)


def close_tap(number: int, tap: TapLike | FrameDevice | None) -> None:
    """Close what was handed over; ``tap`` is what was made of it, if anything was."""
    if sys.platform == "win32":
        from .windows.dlls import load
        from .windows.tap_device import TapDevice

        if isinstance(tap, TapDevice):
            tap.close()
        else:
            load("kernel32").CloseHandle(number)
        return
    os.close(number)


def keep_secrets_in_memory() -> None:
    """No core file of this process is ever written: keys and passwords would be in it."""
    if sys.platform != "win32":
        import resource

        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))

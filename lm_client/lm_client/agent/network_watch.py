"""Notices what makes open lines worthless before their keepalives do: another address of the PC, or a PC that slept.

The system tells of addresses that change (Linux by rtnetlink, Windows by a call): a line whose own address is gone is
given up at once. That the PC slept is seen by the clock that goes on meanwhile, that this program stood still (a
virtual machine that was paused) by a look that comes late: every line is given up then, the far ends have done so.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import sys
import time
from collections.abc import Callable, Iterable
from typing import Final

from lm_client.exceptions import HostError
from lm_client.host.here import AddressNews, watch_addresses

LOOK_S: Final = 5.0
"""Between two looks whether the PC slept."""
SLEPT_S: Final = 3.0
"""Shorter pauses are no sleep, and harm nothing."""
STOOD_STILL_S: Final = 10.0
"""A look may come a little late on a busy PC."""
_SETTLE_S: Final = 0.2
"""An address that is replaced is gone for a moment."""
_RTMGRP_LINK, _RTMGRP_IPV4_IFADDR, _RTMGRP_IPV6_IFADDR = 0x1, 0x10, 0x100
_READ_BYTES: Final = 64 * 1024
Lines = Callable[[], Iterable[tuple[str, Callable[[str], None]]]]
"""The own address of each open line, and how it is given up."""


class NetworkWatch:
    """From ``start`` to ``close``. ``asleep_s`` counts how long the PC slept since it was switched on."""

    def __init__(self, lines: Lines, note: Callable[[str], None], asleep_s: Callable[[], float] | None = None) -> None:
        self._lines = lines
        self._note = note
        self._asleep_s = asleep_s or _asleep_s
        self._seen_s = self._asleep_s()
        self._due_s = 0.0
        self._socket: socket.socket | None = None
        self._news: AddressNews | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._settling: asyncio.TimerHandle | None = None

    def start(self) -> None:
        """Listen to the system, where it tells; look at the clock anyway."""
        loop = asyncio.get_running_loop()
        with contextlib.suppress(HostError):
            self._news = watch_addresses(lambda: _tell(loop, self._settle))
        if sys.platform == "linux" and self._news is None:
            with contextlib.suppress(OSError):
                netlink = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_NONBLOCK, socket.NETLINK_ROUTE)
                netlink.bind((0, _RTMGRP_LINK | _RTMGRP_IPV4_IFADDR | _RTMGRP_IPV6_IFADDR))
                loop.add_reader(netlink.fileno(), self._on_news)
                self._socket = netlink
        self._plan()

    def close(self) -> None:
        """Stop. Idempotent."""
        for timer in (self._timer, self._settling):
            if timer is not None:
                timer.cancel()
        if self._socket is not None:
            asyncio.get_running_loop().remove_reader(self._socket.fileno())
            self._socket.close()
            self._socket = None
        if self._news is not None:
            self._news.close()
            self._news = None

    def check(self) -> None:
        """Give up lines whose own address this PC does not have any more."""
        for address, give_up in list(self._lines()):
            if address and not has_address(address):
                self._note(f"this PC's address {address} is gone: its connections are made anew")
                give_up(f"this PC's address {address} is gone")

    def _on_news(self) -> None:
        if self._socket is None:
            return
        with contextlib.suppress(OSError):  # ENOBUFS: so much news that some was lost; there was some, that is enough
            while self._socket.recv(_READ_BYTES):
                pass
        self._settle()

    def _settle(self) -> None:
        if self._timer is None or self._timer.cancelled():
            return  # news that came while it was closed
        if self._settling is None or self._settling.when() <= asyncio.get_running_loop().time():
            self._settling = asyncio.get_running_loop().call_later(_SETTLE_S, self.check)

    def _look(self) -> None:
        now_s = self._asleep_s()
        slept_s, self._seen_s = now_s - self._seen_s, now_s
        late_s = asyncio.get_running_loop().time() - self._due_s
        if slept_s > SLEPT_S:
            self._give_up_all(f"this PC slept for {slept_s:.0f} s")
        elif late_s > STOOD_STILL_S:
            self._give_up_all(f"this program stood still for {late_s:.0f} s")
        self._plan()

    def _plan(self) -> None:
        loop = asyncio.get_running_loop()
        self._due_s = loop.time() + LOOK_S
        self._timer = loop.call_at(self._due_s, self._look)

    def _give_up_all(self, reason: str) -> None:
        self._note(f"{reason}: connections are made anew")
        for _, give_up in list(self._lines()):
            give_up(reason)


def has_address(address: str) -> bool:
    """Whether this PC has an address: only then a socket can be bound to it."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as trial:
        try:
            trial.bind((address, 0))
        except OSError:
            return False
    return True


def _tell(loop: asyncio.AbstractEventLoop, hear: Callable[[], None]) -> None:
    """From a thread of the system, which may be later than the loop's end."""
    with contextlib.suppress(RuntimeError):
        loop.call_soon_threadsafe(hear)


def _asleep_s() -> float:
    """CLOCK_BOOTTIME goes on while the PC sleeps, CLOCK_MONOTONIC does not."""
    if not hasattr(time, "CLOCK_BOOTTIME"):
        return 0.0
    return time.clock_gettime(time.CLOCK_BOOTTIME) - time.clock_gettime(time.CLOCK_MONOTONIC)

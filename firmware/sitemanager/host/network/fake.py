"""A network in memory, for tests of sessions: keeps what was applied, and adapters whose frames a test can see."""

from __future__ import annotations

import ipaddress
import os
import socket
import threading
from collections.abc import Callable

from gatelink.tunnel.offload import Offload
from sitemanager.core.admission import HostNetwork
from sitemanager.core.desired import DesiredState
from sitemanager.exceptions import NetworkError


class FakeTap:
    """One end of a pair of sockets, each datagram a frame; ``far_end`` is the kernel's side."""

    offload = Offload.NONE

    def __init__(self, name: str) -> None:
        self.name = name
        self._near, self.far_end = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)

    def fileno(self) -> int:
        """The descriptor, for epoll."""
        return self._near.fileno()

    def use(self, offload: Offload) -> None:
        """Nothing can be left to anybody here."""

    def ports(self, offload: Offload) -> tuple[Callable[[memoryview], int | None], Callable[[memoryview], int | None]]:
        """Return how to read and write one frame."""
        descriptor = self.fileno()

        def read(view: memoryview) -> int | None:
            try:
                return os.readv(descriptor, (view,))
            except BlockingIOError:
                return None

        def write(view: memoryview) -> int | None:
            try:
                return os.write(descriptor, view)
            except BlockingIOError:
                return None

        return read, write

    def close(self) -> None:
        """Close both ends."""
        self._near.close()
        self.far_end.close()


class FakeNetwork:
    """See ``Network``. A test sets ``known`` and ``refuses`` and looks at ``states``."""

    def __init__(self) -> None:
        self.known: list[HostNetwork] = [
            HostNetwork(ipaddress.IPv4Network("192.168.50.0/24"), "eth1", ipaddress.IPv4Address("192.168.50.1"))
        ]
        self.states: list[DesiredState] = []
        """Every state that was applied, oldest first."""
        self.refuses: str | None = None
        """The error of the next ``apply`` that has a session in it."""
        self.gate = threading.Event()
        """``apply`` waits until it is set, as it is from the start."""
        self.gate.set()
        self.taps: dict[str, FakeTap] = {}
        self.changes: list[list[str]] = []
        """What the next calls of ``verify`` find."""
        self.cleaned_up = 0

    @property
    def state(self) -> DesiredState:
        """The state in force."""
        return self.states[-1] if self.states else DesiredState()

    def networks(self) -> list[HostNetwork]:
        """Return what the test set."""
        return list(self.known)

    def free_interface(self) -> str:
        """Return the first free name."""
        return next(name for number in range(len(self.taps) + 1) if (name := f"gls{number}") not in self.taps)

    def apply(self, desired: DesiredState) -> None:
        """Keep the state; open and close adapters."""
        self.gate.wait()
        if self.refuses is not None and desired.sessions:
            text, self.refuses = self.refuses, None
            raise NetworkError(text)
        self.states.append(desired)
        wanted = {session.interface for session in desired.sessions}
        for name in self.taps.keys() - wanted:
            self.taps.pop(name).close()
        for name in wanted - self.taps.keys():
            self.taps[name] = FakeTap(name)

    def tap(self, interface: str) -> FakeTap:
        """Return the adapter of a session that was applied."""
        return self.taps[interface]

    def verify(self) -> list[str]:
        """Return the next of ``changes``: nobody else is here."""
        return self.changes.pop(0) if self.changes else []

    def clean_up(self) -> None:
        """Close everything."""
        self.cleaned_up += 1
        self.apply(DesiredState())

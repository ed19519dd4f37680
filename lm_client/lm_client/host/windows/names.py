"""The devices' names on Windows, as ``lm_client.host.NameRegistry`` wants them: one NRPT rule while anybody has names.

A rule names a server without a port: questions go to port 53 of an address of 127/8 that is ours. The agent answers on
a port of its own, so ``Relay`` stands between the two: it listens there and passes datagrams on.
"""

from __future__ import annotations

import contextlib
import selectors
import socket
import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Final

from lm_client.exceptions import HostError
from lm_client.service.protocol import HostName

from . import nrpt
from .registry import Registry

SERVER: Final = "127.71.76.1"
_PORT: Final = 53
_MAX_DATAGRAM_BYTES: Final = 4096
_MAX_WAITING: Final = 256
_LOOPBACK: Final = "127.0.0.1"


class Relay:
    """Passes DNS questions on to the agent's port and answers back. Listens from construction on. Raises OSError."""

    def __init__(self, address: tuple[str, int] = (SERVER, _PORT)) -> None:
        self.port = 0
        """Where questions are passed on to; 0: nowhere."""
        self._front = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._woken, self._waker = socket.socketpair()
        try:
            self._front.bind(address)
        except OSError:
            self.close_sockets()
            raise
        self._back = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._back.bind((_LOOPBACK, 0))
        self._asking: OrderedDict[bytes, tuple[str, int]] = OrderedDict()
        self._thread = threading.Thread(target=self._run, name="dns", daemon=True)
        self._thread.start()

    @property
    def address(self) -> tuple[str, int]:
        """Where it listens."""
        host, port = self._front.getsockname()
        return host, port

    def close(self) -> None:
        """Stop."""
        self._waker.send(b"x")
        self._thread.join()
        self._back.close()
        self.close_sockets()

    def close_sockets(self) -> None:
        """Give back what was opened first."""
        for each in (self._front, self._woken, self._waker):
            each.close()

    def _run(self) -> None:
        with selectors.DefaultSelector() as selector:
            for each in (self._front, self._back, self._woken):
                selector.register(each, selectors.EVENT_READ)
            while True:
                for key, _ in selector.select():
                    if key.fileobj is self._woken:
                        return
                    # ECONNRESET: on Windows a datagram that nobody took makes the next call fail.
                    with contextlib.suppress(OSError):
                        self._ask() if key.fileobj is self._front else self._answer()

    def _ask(self) -> None:
        data, asker = self._front.recvfrom(_MAX_DATAGRAM_BYTES)
        if self.port and len(data) >= 2:
            while len(self._asking) >= _MAX_WAITING:
                self._asking.popitem(last=False)
            self._asking[data[:2]] = asker
            self._back.sendto(data, (_LOOPBACK, self.port))

    def _answer(self) -> None:
        data, sender = self._back.recvfrom(_MAX_DATAGRAM_BYTES)
        if sender == (_LOOPBACK, self.port) and (asker := self._asking.pop(data[:2], None)):
            self._front.sendto(data, asker)


class WindowsNames:
    """``tell`` makes the DNS client read its rules anew."""

    def __init__(self, registry: Registry, tell: Callable[[], None], make_relay: Callable[[], Relay] = Relay) -> None:
        self._registry = registry
        self._tell = tell
        self._make_relay = make_relay
        self._relay: Relay | None = None
        self._ports: dict[str, int] = {}

    def apply(self, interface: str, names: Sequence[HostName], dns_port: int) -> None:
        """Have the rule while anybody has names; who asked last answers, as one agent knows all its names."""
        self._ports.pop(interface, None)
        if names and dns_port:
            self._ports[interface] = dns_port
        self._settle()

    def remove(self, interface: str) -> None:
        """Forget the names of an adapter."""
        self._ports.pop(interface, None)
        self._settle()

    def clean_up(self) -> list[str]:
        """Remove what an earlier run left."""
        if found := nrpt.clean_up(self._registry):
            self._tell()
        return found

    def _settle(self) -> None:
        if not self._ports:
            if self._relay is not None:
                nrpt.apply(self._registry, "")
                self._tell()
                self._relay.close()
                self._relay = None
            return
        if self._relay is None:
            try:
                self._relay = self._make_relay()
            except OSError as error:
                raise HostError(f"cannot answer for names at {SERVER}: {error.strerror}") from None
            nrpt.apply(self._registry, self._relay.address[0])
            self._tell()
        self._relay.port = next(reversed(self._ports.values()))

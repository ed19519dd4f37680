"""One permanent relay while its session stands: a listener, its connections, and what they carry.

pull: listens where this host's settings say, for the sources that they name, and connects through the tunnel to the
device. push: listens at this end of the tunnel, for the SiteManager alone, and connects to the server that this host's
settings name. Neither the GateManager nor the SiteManager chooses an address of this host's network.
"""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import socket
from collections.abc import Sequence
from typing import Final, NamedTuple

from gatelink.exceptions import LinkError

from .relay_sockets import CONNECT_TIMEOUT_S, BindToInterface, bind_to_interface, keep_alive, listening, unconnected

_PIECE_BYTES: Final = 64 * 1024
_ACCEPT_AGAIN_S: Final = 1.0
Networks = Sequence[ipaddress.IPv4Network | ipaddress.IPv6Network]


class Way(NamedTuple):
    """From where to where; an interface is that of the tunnel, or none."""

    listen: str
    port: int
    listen_interface: str
    target: str
    """An address; for a server of this side also a name."""
    target_port: int
    target_interface: str

    def __str__(self) -> str:
        if self.target_interface:
            return f"on {self.listen} port {self.port}"
        return f"to {self.target} port {self.target_port}"


class Counts:
    """Of a relay since the agent began: they outlive its sessions."""

    def __init__(self) -> None:
        self.open = 0
        self.opened = 0
        self.refused = 0
        self.bytes_in = 0
        """From who connected."""
        self.bytes_out = 0
        """To who connected."""
        self.trouble = ""
        """Why the last connection could not be carried; empty after one that could."""


class RelayEnd:
    """Open from ``start`` to ``close``."""

    def __init__(
        self, way: Way, sources: Networks, most: int, counts: Counts, bind: BindToInterface = bind_to_interface
    ) -> None:
        """``most`` connections at a time, from ``sources`` alone."""
        self.way = way
        self._sources = sources
        self._most = most
        self._counts = counts
        self._bind = bind
        self._listener: socket.socket | None = None
        self._accepting: asyncio.Task[None] | None = None
        self._carrying: set[asyncio.Task[None]] = set()

    def start(self) -> None:
        """Take connections from now on. Raises LinkError."""
        way = self.way
        self._listener = listening(way.listen, way.port, way.listen_interface, self._bind)
        self._accepting = asyncio.ensure_future(self._accept(self._listener))

    async def close(self) -> None:
        """Take none any more and break off those there are."""
        tasks = [*self._carrying, *((self._accepting,) if self._accepting else ())]
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)
        if self._listener is not None:
            self._listener.close()

    async def _accept(self, listener: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        while True:
            try:
                made, peer = await loop.sock_accept(listener)
            except OSError as error:  # the peer has gone already, or there is no descriptor left
                self._counts.trouble = f"cannot take a connection: {error.strerror}"
                await asyncio.sleep(_ACCEPT_AGAIN_S)
                continue
            if not self._may_come(str(peer[0])) or len(self._carrying) >= self._most:
                self._counts.refused += 1
                _reset(made)
                continue
            task = asyncio.ensure_future(self._carry(made))
            self._carrying.add(task)
            task.add_done_callback(self._carrying.discard)

    def _may_come(self, address: str) -> bool:
        source = ipaddress.ip_address(address.partition("%")[0])
        return any(source in network for network in self._sources)

    async def _carry(self, near: socket.socket) -> None:
        counts, far = self._counts, None
        counts.open += 1
        try:
            far = await self._connect()
            counts.opened += 1
            counts.trouble = ""
            for made in (near, far):
                keep_alive(made)
            await self._both_ways(near, far)
        except (OSError, LinkError) as error:
            if far is None:
                counts.refused += 1
                counts.trouble = str(error)
        finally:
            counts.open -= 1
            for each in (near, far):
                if each is not None:
                    _reset(each)

    async def _connect(self) -> socket.socket:
        """Connect to where it goes. Raises LinkError."""
        way, loop = self.way, asyncio.get_running_loop()
        what = f"{way.target} port {way.target_port}"
        made: socket.socket | None = None
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT_S):
                found = await loop.getaddrinfo(way.target, way.target_port, type=socket.SOCK_STREAM)
                place = found[0][4]
                made = unconnected(str(place[0]), way.target_interface, self._bind)
                await loop.sock_connect(made, place)
        except BaseException as error:
            if made is not None:
                made.close()
            if isinstance(error, TimeoutError):
                raise LinkError(f"{what} did not answer within {CONNECT_TIMEOUT_S:.0f} s") from None
            if isinstance(error, OSError):
                raise LinkError(f"cannot connect to {what}: {error.strerror or error}") from None
            raise
        return made

    async def _both_ways(self, near: socket.socket, far: socket.socket) -> None:
        """Carry until both said that they have said all, or one breaks."""
        ways = [asyncio.ensure_future(self._one_way(near, far)), asyncio.ensure_future(self._one_way(far, near, -1))]
        try:
            done, _ = await asyncio.wait(ways, return_when=asyncio.FIRST_EXCEPTION)
            for way in done:
                way.result()
        finally:
            for way in ways:
                way.cancel()
            await asyncio.wait(ways)
            for way in ways:
                if not way.cancelled():
                    way.exception()
        # Both ends have all: what is closed now is closed in good order.
        near.close()
        far.close()

    async def _one_way(self, source: socket.socket, sink: socket.socket, direction: int = 1) -> None:
        """Carry piece by piece: the next one is read when the one before is written, nothing piles up."""
        loop, counts = asyncio.get_running_loop(), self._counts
        while piece := await loop.sock_recv(source, _PIECE_BYTES):
            await loop.sock_sendall(sink, piece)
            if direction > 0:
                counts.bytes_in += len(piece)
            else:
                counts.bytes_out += len(piece)
        with contextlib.suppress(OSError):  # it is gone, and the other way will say so
            sink.shutdown(socket.SHUT_WR)


def _reset(made: socket.socket) -> None:
    """Close at once; who is at the other end is told by a reset. Nothing if it is closed already."""
    if made.fileno() >= 0:
        with contextlib.suppress(OSError):
            made.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")
        made.close()

"""Drives a non-blocking ``ssl.SSLSocket`` from asyncio, without asyncio's own TLS transport.

That transport costs about 290 KiB a connection, an ``SSLSocket`` under ``add_reader`` about 20 KiB (measured with 2,000
connections), and only an ``SSLSocket`` can end TLS and give back the plain socket, as the legs of a session need.
Every function here must be bounded by the caller with ``asyncio.timeout``; errors are LinkError with one clear line.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Callable
from typing import TypeVar

from .exceptions import LinkError, ProtocolError
from .frames import FrameReader, encode_frame
from .messages import M, Message, Vocabulary, encode

T = TypeVar("T")
_RECEIVE_BYTES = 16 * 1024


async def handshake(
    plain: socket.socket, context: ssl.SSLContext, *, server_side: bool, server_name: str | None = None
) -> ssl.SSLSocket:
    """Do the TLS handshake on a connected non-blocking socket; the result owns the connection.

    Raises LinkError when the connection breaks, ``ssl.SSLCertVerificationError`` when the other side's certificate is
    not the one expected, ``ssl.SSLError`` for any other failure of TLS. The connection is then closed.
    """
    try:
        if plain.family in (socket.AF_INET, socket.AF_INET6):
            # Small messages in both directions: waiting for an acknowledgement (Nagle) would cost 40 ms each.
            plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        tls = context.wrap_socket(
            plain, server_side=server_side, do_handshake_on_connect=False, server_hostname=server_name
        )
    except OSError as error:
        plain.close()
        raise LinkError(f"the connection broke: {error.strerror or error}") from None
    try:
        await drive(tls, tls.do_handshake)
    except BaseException:
        tls.close()
        raise
    return tls


async def drive(tls: ssl.SSLSocket, operation: Callable[[], T]) -> T:
    """Repeat a non-blocking operation whenever the socket became ready for what it wants, until it is done."""
    while True:
        try:
            return operation()
        except ssl.SSLWantReadError:
            await _ready(tls.fileno(), write=False)
        except ssl.SSLWantWriteError:
            await _ready(tls.fileno(), write=True)
        except ssl.SSLError:
            raise
        except OSError as error:
            raise LinkError(f"the connection broke: {error.strerror or error}") from None


async def send(tls: ssl.SSLSocket, message: Message) -> None:
    """Send one message."""
    data = memoryview(encode_frame(encode(message)))
    while data:
        data = data[await drive(tls, lambda data=data: tls.send(data)) :]  # type: ignore[misc]


async def end_tls(tls: ssl.SSLSocket) -> socket.socket:
    """Exchange close_notify and return the plain connection: nothing of what follows it was read."""
    try:
        await drive(tls, tls.unwrap)
    except ssl.SSLError as error:
        raise LinkError(f"the other side did not end TLS properly: {error.reason or error}") from None
    plain = socket.socket(fileno=tls.detach())
    plain.setblocking(False)
    return plain


class Conversation:
    """Messages in turn over a TLS connection: for enrolment and tickets, where one side speaks at a time."""

    def __init__(self, tls: ssl.SSLSocket, limit_bytes: int) -> None:
        self.tls = tls
        self._reader = FrameReader(limit_bytes)
        self._payloads: list[bytes] = []

    async def send(self, message: Message) -> None:
        """Send one message."""
        await send(self.tls, message)

    async def receive(self, vocabulary: Vocabulary[M]) -> M:
        """Return the next message; raises ProtocolError if it is none of ``vocabulary``, LinkError at the end."""
        while not self._payloads:
            try:
                data = await drive(self.tls, lambda: self.tls.recv(_RECEIVE_BYTES))
            except ssl.SSLError as error:
                raise LinkError(f"the other side ended TLS: {error.reason or error}") from None
            if not data:
                raise LinkError("the other side closed the connection")
            self._payloads = self._reader.receive_data(data)
        return vocabulary.decode(self._payloads.pop(0))

    def hand_over(self) -> ssl.SSLSocket:
        """Return the connection for another owner; the other side must have waited for its answer."""
        if self._payloads or self._reader.pending_bytes:
            raise ProtocolError("the other side went on to talk where it should wait for the answer")
        return self.tls

    async def end_tls(self) -> socket.socket:
        """Exchange close_notify and return the plain connection; the other side must have said all it had to."""
        if self._payloads or self._reader.pending_bytes:
            raise ProtocolError("the other side went on to talk where TLS should end")
        return await end_tls(self.tls)


async def _ready(descriptor: int, *, write: bool) -> None:
    loop = asyncio.get_running_loop()
    future: asyncio.Future[None] = loop.create_future()

    def wake() -> None:
        if not future.done():
            future.set_result(None)

    add, remove = (loop.add_writer, loop.remove_writer) if write else (loop.add_reader, loop.remove_reader)
    add(descriptor, wake)
    try:
        await future
    finally:
        remove(descriptor)

"""A control connection: messages both ways at any time over one TLS connection, kept alive, bounded.

The same class at both ends. It costs one reader callback and one timer of the event loop, no task: the GM holds
thousands. Pings are answered here; an unknown message is answered with a Refusal; a broken protocol, a dead peer and a
peer that does not read end the channel, which is told once, with the reason.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable
from typing import Any, Final, Generic

from .exceptions import ProtocolError, UnknownMessage
from .frames import FrameReader, encode_frame
from .keepalive import Keepalive, Verdict
from .messages import M, Message, Ping, Pong, Refusal, Vocabulary, encode

_RECEIVE_BYTES: Final = 16 * 1024
_READS_PER_TURN: Final = 4
"""So that one busy peer does not keep the others waiting."""
MAX_UNSENT_BYTES: Final = 512 * 1024
"""A peer that lets more than this pile up is given up. A security limit."""


class Channel(Generic[M]):
    """Messages of ``vocabulary`` come in through ``on_message``; the end through ``on_closed(reason)``, once."""

    __slots__ = (
        "_closing",
        "_keepalive",
        "_loop",
        "_on_closed",
        "_on_message",
        "_reader",
        "_timer",
        "_tls",
        "_unsent",
        "_vocabulary",
        "_writing",
        "round_trip_s",
    )

    def __init__(
        self,
        tls: ssl.SSLSocket,
        vocabulary: Vocabulary[M],
        keepalive_s: float,
        on_message: Callable[[M], None],
        on_closed: Callable[[str], None],
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._tls: ssl.SSLSocket | None = tls
        self._vocabulary = vocabulary
        self._reader = FrameReader()
        self._on_message = on_message
        self._on_closed = on_closed
        self._unsent = b""
        self._writing = False
        self._closing: str | None = None
        self._keepalive = Keepalive(keepalive_s, self._loop.time())
        self.round_trip_s: float | None = None
        """Of the last keepalive."""
        self._timer = self._loop.call_at(self._keepalive.next_at, self._on_timer)
        self._loop.add_reader(tls.fileno(), self._on_readable)
        # What came with the handshake is inside OpenSSL already: the kernel will not tell of it.
        self._loop.call_soon(self._on_readable)

    @property
    def is_open(self) -> bool:
        """Whether messages can still be sent."""
        return self._tls is not None and self._closing is None

    def send(self, message: Message) -> None:
        """Queue a message; silently nothing once the channel is closing (its end is told by ``on_closed``)."""
        if not self.is_open:
            return
        self._unsent += encode_frame(encode(message))
        self._keepalive.sent(self._loop.time())
        self._flush()
        if len(self._unsent) > MAX_UNSENT_BYTES:
            self.close("the other side does not read")

    def change_keepalive(self, interval_s: float) -> None:
        """Use another keepalive distance from now on."""
        self._keepalive.change_interval(interval_s)
        self._arm()

    def ping(self) -> None:
        """Ask for a sign of life now; its round trip becomes ``round_trip_s``."""
        self.send(Ping(token=int(self._loop.time() * 1000) % 2**32))

    def refuse(self, code: str, text: str) -> None:
        """Say why, then close as soon as it is sent."""
        self.send(Refusal(code=code, text=text))
        self.close(text, flush=True)

    def close(self, reason: str, *, flush: bool = False) -> None:
        """End the channel; with ``flush`` once everything queued is sent (at the latest at the next timer)."""
        if self._tls is None:
            return
        if flush and self._unsent:
            self._closing = reason
            return
        self._timer.cancel()
        descriptor = self._tls.fileno()
        self._loop.remove_reader(descriptor)
        self._loop.remove_writer(descriptor)
        self._tls.close()
        self._tls = None
        self._unsent = b""
        self._on_closed(reason)

    def _on_readable(self) -> None:
        for _ in range(_READS_PER_TURN):
            if self._tls is None:
                return
            try:
                data = self._tls.recv(_RECEIVE_BYTES)
            except ssl.SSLWantReadError:
                return
            except ssl.SSLWantWriteError:
                self._want_write(True)
                return
            except OSError as error:
                self.close(_reason(error))
                return
            if not data:
                self.close("the other side closed the connection")
                return
            self._receive(data)
        if self._tls is not None and self._tls.pending():
            self._loop.call_soon(self._on_readable)

    def _receive(self, data: bytes) -> None:
        self._keepalive.heard(self._loop.time())
        try:
            for payload in self._reader.receive_data(data):
                if not self.is_open:
                    return
                self._handle(payload)
        except ProtocolError as error:
            self.refuse("protocol", str(error))

    def _handle(self, payload: bytes) -> None:
        try:
            message: Any = self._vocabulary.decode(payload)
        except UnknownMessage as error:
            self.send(Refusal(code="unknown-message", text=str(error), request_id=error.request_id))
            return
        if isinstance(message, Ping):
            self.send(Pong(token=message.token))
        elif isinstance(message, Pong):
            self.round_trip_s = (int(self._loop.time() * 1000) - message.token) % 2**32 / 1000
        else:
            self._on_message(message)

    def _flush(self) -> None:
        try:
            while self._unsent and self._tls is not None:
                self._unsent = self._unsent[self._tls.send(self._unsent) :]
        except (ssl.SSLWantWriteError, ssl.SSLWantReadError):
            self._want_write(True)
            return
        except OSError as error:
            self.close(_reason(error))
            return
        self._want_write(False)
        if self._closing is not None:
            self.close(self._closing)

    def _want_write(self, wanted: bool) -> None:
        if self._tls is None or wanted == self._writing:
            return
        self._writing = wanted
        if wanted:
            self._loop.add_writer(self._tls.fileno(), self._flush)
        else:
            self._loop.remove_writer(self._tls.fileno())

    def _on_timer(self) -> None:
        verdict = self._keepalive.verdict(self._loop.time())
        if self._closing is not None:
            self.close(self._closing)
        elif verdict is Verdict.DEAD:
            self.close("the other side is silent")
        else:
            if verdict is Verdict.SEND:
                self.ping()
            self._arm()

    def _arm(self) -> None:
        self._timer.cancel()
        if self._tls is not None:
            self._timer = self._loop.call_at(self._keepalive.next_at, self._on_timer)


def _reason(error: OSError) -> str:
    if isinstance(error, ssl.SSLError):
        return f"TLS failed: {error.reason or error}"
    return f"the connection broke: {error.strerror or error}"

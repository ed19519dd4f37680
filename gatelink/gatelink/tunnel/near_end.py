"""One end of a tunnel, whatever moves its bytes: Hello, keepalive, control messages, how it ends and what it counted.

``pump`` (Linux, epoll) and ``portable_pump`` (threads) add the loop: to the far end they are the same.
"""

from __future__ import annotations

import contextlib
import mmap
import socket
import ssl
import sys
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum
from typing import Final, cast

from gatelink.exceptions import FrameError, TapError
from gatelink.wire import KEEPALIVE_S, MISSED_KEEPALIVES

from . import inbound, outbound
from .framing import Control, End, Hello, Ping, Pong, encode_control
from .leg_options import apply_leg_options
from .liveness import Liveness
from .offload import ALL, Offload, negotiate

_END_TEXT_CHARACTERS: Final = 120
_FAREWELL_S: Final = 0.5
"""How long the last words may wait for a full line."""
_HELLO_TIMEOUT_S: Final = 10.0
_SWITCH_INTERVAL_S: Final = 0.0005
"""How long another thread of this process may keep the interpreter from a frame; Python's default is ten times as much
(docs/decisions/0013)."""
_WOULD_WAIT: Final = (ssl.SSLWantReadError, ssl.SSLWantWriteError)
_DISCARD: Final[int | None] = getattr(mmap, "MADV_DONTNEED", None)
"""Windows has none."""
CLOSED: Final = "the connection was closed without an End"


class EndReason(Enum):
    """Why a tunnel ended."""

    STOPPED = "stopped here"
    FAR_END = "ended by the far end"
    LOST = "connection lost"
    SILENT = "far end silent"
    PROTOCOL = "protocol error"
    TAP_GONE = "TAP adapter gone"


@dataclass(frozen=True, slots=True)
class PumpEnd:
    """What ``run`` returns. ``detail`` is one line for people; sent and received are seen from this end."""

    reason: EndReason
    detail: str
    bytes_sent: int
    bytes_received: int
    frames_sent: int
    frames_received: int


@dataclass(frozen=True, slots=True)
class Counters:
    """How a tunnel stands at one moment."""

    bytes_sent: int
    bytes_received: int
    frames_sent: int
    frames_received: int
    frames_refused: int
    """Frames from the far end that the TAP did not take."""
    frames_dropped: int
    """Frames from the TAP for which a slow line had no room."""
    stalls: int
    """How often the line took less than there was."""
    rtt_s: float | None
    """The last round trip of a Ping through the tunnel."""


@dataclass(frozen=True, slots=True)
class PumpSettings:
    """How one tunnel runs."""

    keepalive_s: float = KEEPALIVE_S
    offload: Offload = ALL
    """What may be offered, as far as the TAP can do it."""
    mtu_bytes: int = 1500


def _nothing(_hello: Hello) -> None:
    pass


@dataclass(frozen=True, slots=True)
class PumpHooks:
    """Called from the pump's thread; must not block."""

    on_up: Callable[[Hello], None] = field(default=_nothing)
    """The far end said Hello: frames flow from now on."""


class Ended(Exception):  # carries why, through the loop; nobody outside sees it
    """Raised by a pump's loop to end it."""

    def __init__(self, reason: EndReason, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason


class NearEnd(ABC):
    """``run`` is called once; it closes the TLS connection at the end, the TAP stays the caller's."""

    def __init__(
        self,
        tap_name: str,
        tap_offload: Offload,
        tls: ssl.SSLSocket,
        settings: PumpSettings | None,
        hooks: PumpHooks | None,
        clock: Callable[[], float],
    ) -> None:
        self._tap_name = tap_name
        self._tls = tls
        self._settings = settings or PumpSettings()
        self._hooks = hooks or PumpHooks()
        self._clock = clock
        self._offered = self._settings.offload & tap_offload
        self._far_hello: Hello | None = None
        self._deadline = 0.0
        self._stop_text: str | None = None
        self._pong: bytes | None = None
        # Anonymous mappings: a page costs memory only once it was used.
        self._buffers = mmap.mmap(-1, inbound.BUFFER_BYTES), mmap.mmap(-1, outbound.BUFFER_BYTES)
        read, write = _functions(tls)
        self._in = inbound.Inbound(read, self._on_control, memoryview(self._buffers[0]), _WOULD_WAIT)
        self._out = outbound.Outbound(write, memoryview(self._buffers[1]), _WOULD_WAIT)
        self._liveness = Liveness(self._settings.keepalive_s, clock())

    @property
    def counters(self) -> Counters:
        """How it stands now. Any thread may ask, also after the end."""
        incoming, outgoing = self._in, self._out
        return Counters(
            bytes_sent=outgoing.bytes,
            bytes_received=incoming.bytes,
            frames_sent=outgoing.frames,
            frames_received=incoming.frames,
            frames_refused=incoming.refused,
            frames_dropped=outgoing.dropped,
            stalls=outgoing.stalls,
            rtt_s=self._liveness.rtt_s,
        )

    def stop(self, text: str = "") -> None:
        """End the tunnel soon; ``text`` is told to the far end. Any thread, any time, also after the end."""
        if self._stop_text is None:
            self._stop_text = text[:_END_TEXT_CHARACTERS]
        self.poke()

    @abstractmethod
    def poke(self) -> None:
        """Make the loop look at its clock and whether to stop."""

    def run(self) -> PumpEnd:
        """Carry frames until the tunnel ends, and say why it did. Never raises for what the far end or the OS does."""
        reason, detail = EndReason.LOST, ""
        if sys.getswitchinterval() > _SWITCH_INTERVAL_S:
            sys.setswitchinterval(_SWITCH_INTERVAL_S)
        try:
            self._prepare()
            self._carry()
        except Ended as ended:
            reason, detail = ended.reason, str(ended)
        except FrameError as error:
            reason, detail = EndReason.PROTOCOL, str(error)
        except TapError as error:
            reason, detail = EndReason.TAP_GONE, str(error)
        finally:
            if reason is not EndReason.LOST and reason is not EndReason.SILENT:
                self._say_farewell(reason, detail)
            self._tls.close()
            self._release()
        seen = self.counters
        return PumpEnd(reason, detail, seen.bytes_sent, seen.bytes_received, seen.frames_sent, seen.frames_received)

    # -- what a pump adds ---------------------------------------------------------------------------------------------

    @abstractmethod
    def _loop(self) -> None:
        """Serve until somebody raises."""

    @abstractmethod
    def _open_tap(self, offload: Offload) -> tuple[outbound.Read, inbound.Write]:
        """Return how to read and to write one frame from now on."""

    @abstractmethod
    def _release(self) -> None:
        """Give back what the loop waited with."""

    # -- set-up -------------------------------------------------------------------------------------------------------

    def _prepare(self) -> None:
        settings, tls = self._settings, self._tls
        try:
            tls.setblocking(False)
            apply_leg_options(tls, keepalive_s=settings.keepalive_s)
        except OSError as error:
            raise Ended(EndReason.LOST, f"the connection was lost before the tunnel began: {error}") from None
        self._deadline = self._clock() + _HELLO_TIMEOUT_S
        self._out.put(encode_control(Hello(offload=int(self._offered), mtu_bytes=settings.mtu_bytes)))

    def _carry(self) -> None:
        """Run the loop; its errors become the reason."""
        try:
            self._loop()
        except ssl.SSLEOFError:
            raise Ended(EndReason.LOST, CLOSED) from None
        except ssl.SSLError as error:
            raise Ended(EndReason.LOST, f"TLS broke: {error.reason or error}") from None
        except OSError as error:
            if error.errno in inbound.GONE:
                raise Ended(EndReason.TAP_GONE, f"the TAP adapter {self._tap_name} was removed or set down") from None
            raise Ended(EndReason.LOST, f"the connection was lost: {error.strerror or error}") from None

    def _on_control(self, message: Control) -> None:
        if self._far_hello is None and not isinstance(message, Hello):
            raise FrameError(f"the far end said {type(message).__name__} before its Hello")
        match message:
            case Hello():
                self._on_hello(message)
            case Ping(token):
                # Only the last one is answered: however many come, they take no memory.
                self._pong = token
            case Pong(token):
                self._liveness.pong(token, self._clock())
            case End(text):
                # It will be logged and shown: no line breaks, no terminal's control characters.
                raise Ended(EndReason.FAR_END, "".join(c if c.isprintable() else "?" for c in text))

    def _on_hello(self, hello: Hello) -> None:
        if self._far_hello is not None:
            raise FrameError("the far end said Hello twice")
        self._far_hello = hello
        offload = negotiate(self._offered, hello.offload)
        read, write = self._open_tap(offload)
        self._in.open(write, vnet_header=bool(offload))
        self._out.open(read)
        now = self._clock()
        self._liveness = Liveness(self._settings.keepalive_s, now)
        self._deadline = self._liveness.next_at
        self._out.put(encode_control(Ping(self._liveness.ping(now))))
        self._hooks.on_up(hello)

    # -- the clock ----------------------------------------------------------------------------------------------------

    def _look_whether_to_stop(self) -> None:
        if self._stop_text is not None:
            raise Ended(EndReason.STOPPED, self._stop_text)

    def _answer_ping(self) -> None:
        if self._pong is not None and self._out.put(encode_control(Pong(self._pong))):
            self._pong = None

    def _on_deadline(self, now: float) -> None:
        if self._far_hello is None:
            raise Ended(EndReason.PROTOCOL, f"the far end did not say Hello within {_HELLO_TIMEOUT_S:.0f} s")
        if not self._liveness.tick(now, self._in.bytes):
            silence_s = MISSED_KEEPALIVES * self._settings.keepalive_s
            raise Ended(EndReason.SILENT, f"the far end said nothing for {silence_s:.0f} s")
        self._deadline = self._liveness.next_at
        self._give_memory_back()
        # If the row is full the Ping is left out: the line is busy, and what comes in proves life as well.
        self._out.put(encode_control(Ping(self._liveness.ping(now))))

    def _give_memory_back(self) -> None:
        """Let the kernel have the pages that a busy time has touched: an idle tunnel is to cost next to nothing."""
        if _DISCARD is not None and self._out.end == 0 and self._in.is_empty:
            for buffer in self._buffers:
                buffer.madvise(_DISCARD)

    def _say_farewell(self, reason: EndReason, detail: str) -> None:
        """Tell the far end why, and give it a moment to read it: closing with unread bytes would reset the line."""
        tls = self._tls
        with contextlib.suppress(OSError, ValueError):
            if reason is not EndReason.FAR_END:
                self._out.put(encode_control(End(detail[:_END_TEXT_CHARACTERS])))
            tls.settimeout(_FAREWELL_S)
            self._out.flush()
            tls.shutdown(socket.SHUT_WR)
            end = time.monotonic() + _FAREWELL_S
            while tls.recv(inbound.RECORD_BYTES) and time.monotonic() < end:
                pass


def _functions(tls: ssl.SSLSocket) -> tuple[inbound.Read, outbound.Write]:
    """Return how to read and write TLS.

    Those of the object inside of ``SSLSocket``, if it is where it has been since Python 3.6: the outer ones cost some
    microseconds a request (docs/decisions/0013). Unlike them it says SSLEOFError when the connection just ended.
    """
    inner = getattr(tls, "_sslobj", None) or tls
    return cast("inbound.Read", inner.read), cast("outbound.Write", inner.write)

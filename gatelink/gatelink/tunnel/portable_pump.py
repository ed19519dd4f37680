"""Runs one tunnel where the adapter is no descriptor that a poll could wait for (Windows), in two threads.

    the reader    blocks in ``read_frame`` and puts frames into a short row (``FrameRow``)
    the pump      waits for the TLS socket and for the reader's word, by ``selectors``; it alone touches TLS, because
                  OpenSSL allows no two threads in one connection, and it writes frames to the adapter

Messages, backpressure, slow lines, keepalive and how it ends are those of ``pump``: it is the same code.
"""

from __future__ import annotations

import contextlib
import selectors
import socket
import ssl
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Final

from gatelink.exceptions import TapError

from . import inbound, outbound
from .devices import FrameDevice
from .framing import MAX_DATA_BYTES
from .leg_options import limit_not_sent
from .near_end import CLOSED, Ended, EndReason, NearEnd, PumpHooks, PumpSettings
from .offload import Offload

ROW_FRAMES: Final = 32
"""What waits here at most before the adapter's own queue fills, as that of a TAP on Linux (docs/decisions/0012)."""
_IN, _OUT = selectors.EVENT_READ, selectors.EVENT_WRITE


class FrameRow:
    """Frames between the reader's thread and the pump's. ``wake`` is called when one comes and ``is_awaited``."""

    def __init__(self, device: FrameDevice, wake: Callable[[], None]) -> None:
        self._device = device
        self._wake = wake
        self._frames: deque[bytes] = deque()
        self._change = threading.Condition()
        self._stopping = False
        self.is_awaited = True
        """Set by the pump before it looks whether there are frames and waits: else it looks anyway."""
        self._trouble: TapError | None = None
        self._thread = threading.Thread(target=self._run, name=f"reader {device.name}", daemon=True)

    @property
    def has_frames(self) -> bool:
        """Whether ``take`` has something to give, or to raise."""
        return bool(self._frames) or self._trouble is not None

    def start(self) -> None:
        """Begin to read."""
        self._thread.start()

    def take(self, view: memoryview) -> int | None:
        """Move the oldest frame into ``view``; None if there is none. Raises TapError once the adapter is gone."""
        with self._change:
            if not self._frames:
                if self._trouble is not None:
                    raise self._trouble
                return None
            frame = self._frames.popleft()
            self._change.notify()
        view[: len(frame)] = frame
        return len(frame)

    def stop(self) -> None:
        """End the thread: the adapter can be given to somebody else afterwards. Frames that wait are dropped."""
        with self._change:
            self._stopping = True
            self._change.notify()
        if self._thread.ident is not None:
            self._device.interrupt()
            self._thread.join()

    def _run(self) -> None:
        view = memoryview(bytearray(MAX_DATA_BYTES))
        try:
            while not self._stopping:
                if size := self._device.read_frame(view):
                    self._put(bytes(view[:size]))
        except (TapError, OSError) as error:
            self._trouble = TapError(str(error))
            self._wake()

    def _put(self, frame: bytes) -> None:
        with self._change:
            self._change.wait_for(lambda: len(self._frames) < ROW_FRAMES or self._stopping)
            self._frames.append(frame)
        if self.is_awaited:
            self.is_awaited = False
            self._wake()


class PortablePump(NearEnd):
    """One tunnel. ``run`` is called once; it closes the TLS connection at the end, the adapter stays the caller's."""

    def __init__(
        self,
        device: FrameDevice,
        tls: ssl.SSLSocket,
        settings: PumpSettings | None = None,
        hooks: PumpHooks | None = None,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__(device.name, Offload.NONE, tls, settings, hooks, clock)
        self._device = device
        self._row = FrameRow(device, self.poke)
        # Also on Windows: there it is a pair of TCP connections over loopback.
        self._woken, self._waker = socket.socketpair()
        self._wake_lock = threading.Lock()
        for end in (self._woken, self._waker):
            end.setblocking(False)

    def poke(self) -> None:
        """Make the loop look at its clock, at the row and whether to stop."""
        with self._wake_lock, contextlib.suppress(OSError):  # full: it is awake; closed: it has ended
            self._waker.send(b"x")

    def _open_tap(self, _offload: Offload) -> tuple[outbound.Read, inbound.Write]:
        self._row.start()
        return self._row.take, self._device.write_frame

    def _release(self) -> None:
        self._row.stop()
        with self._wake_lock:
            self._waker.close()
        self._woken.close()

    def _loop(self) -> None:
        with selectors.DefaultSelector() as selector:
            selector.register(self._tls, _IN)
            selector.register(self._woken, _IN)
            self._serve(selector)

    def _serve(self, selector: selectors.BaseSelector) -> None:
        tls, woken, clock, outgoing, row = self._tls, self._woken, self._clock, self._out, self._row
        tls_events = _IN
        now = clock()
        while True:
            wanted = self._settle(now)
            if wanted != tls_events:
                tls_events = wanted
                selector.modify(tls, tls_events)
            left_s = self._deadline - now
            if left_s <= 0:
                self._on_deadline(now)
                continue
            row.is_awaited = True
            may_go_on = row.has_frames and outgoing.wants_frames
            ready = selector.select(0 if may_go_on else left_s)
            row.is_awaited = False
            now = clock()
            for key, events in ready:
                if key.fileobj is woken:
                    self._on_wake()
                    continue
                if events & _OUT:
                    outgoing.flush()
                if events & _IN and not self._in.receive():
                    raise Ended(EndReason.LOST, CLOSED)
            if outgoing.wants_frames and row.has_frames:
                if outgoing.end:
                    outgoing.queue()
                else:
                    outgoing.transmit()

    def _settle(self, now: float) -> int:
        """Send control messages; return for what of the socket to wait."""
        outgoing = self._out
        self._answer_ping()
        if outgoing.end and not outgoing.is_stalled:
            outgoing.flush()
        if not outgoing.is_stalled:
            outgoing.rate.free(now)
            return _IN
        if outgoing.measure(now):
            limit_not_sent(self._tls, slow=outgoing.rate.is_slow)
        return _IN | _OUT

    def _on_wake(self) -> None:
        with contextlib.suppress(BlockingIOError):
            while self._woken.recv(4096):
                pass
        self._look_whether_to_stop()

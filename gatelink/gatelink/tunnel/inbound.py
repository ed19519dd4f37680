"""From the far end to the TAP: cuts the received bytes into frames. Parses what the far end sends. No I/O of its own.

One buffer, no copy and no allocation for a frame: TLS decrypts into the buffer, the TAP takes slices of it. Only the
beginning of a frame that has not come whole is ever moved.
"""

from __future__ import annotations

import errno
from collections.abc import Callable
from typing import Final

from .framing import LENGTH, LENGTH_BYTES, MAX_ETHERNET_BYTES, MIN_ETHERNET_BYTES, Control, control_size, decode_control
from .offload import VNET_HEADER_BYTES

RECORD_BYTES: Final = 16 * 1024
"""The largest TLS record. Each read offers this much room, so that OpenSSL never keeps the rest of a record back."""
BUFFER_BYTES: Final = 256 * 1024
"""Holds an incomplete frame of 64 KiB and many records behind it. Untouched pages of it cost no memory."""
GONE: Final = frozenset({errno.EBADFD, errno.EBADF, errno.EIO})
"""What the kernel says of a TAP that is no more (EBADFD), or was set down (EIO). Other errors concern one frame."""
_TURN_READS: Final = 16
"""Records that one turn takes in at most, so that the other direction has its turn."""

Read = Callable[[int, memoryview], int]
Write = Callable[[memoryview], "int | None"]
Waits = tuple[type[Exception], ...]
"""What the TLS connection raises instead of waiting."""


class Inbound:
    """The receiving half of a tunnel; ``read`` and ``write`` are those of the TLS connection and of the TAP."""

    __slots__ = (
        "_buffer",
        "_end",
        "_least",
        "_most",
        "_on_control",
        "_read",
        "_view",
        "_would_wait",
        "_write",
        "bytes",
        "frames",
        "refused",
    )

    def __init__(
        self, read: Read, on_control: Callable[[Control], None], buffer: memoryview, would_wait: Waits
    ) -> None:
        self._read = read
        self._would_wait = would_wait
        self._on_control = on_control
        self._view = buffer
        self._end = 0
        self._write: Write | None = None
        # Until the far end's Hello came no data frame is acceptable: no word lies between these two.
        self._least = 1
        self._most = 0
        self.bytes = 0
        """Everything received, control messages too."""
        self.frames = 0
        self.refused = 0
        """Frames that the TAP did not take: a virtio-net header that makes no sense, no memory."""

    def open(self, write: Write, *, vnet_header: bool) -> None:
        """Accept data frames from now on and give them to ``write``."""
        header_bytes = VNET_HEADER_BYTES if vnet_header else 0
        self._write = write
        self._least = MIN_ETHERNET_BYTES + header_bytes
        self._most = MAX_ETHERNET_BYTES + header_bytes

    @property
    def is_empty(self) -> bool:
        """Whether no part of a frame is waiting for its rest."""
        return self._end == 0

    def receive(self) -> bool:
        """Take in what TLS has, at most one turn of it; returns whether the connection goes on (False: it was closed).

        Raises FrameError, what TLS raises when it broke, and what the TAP raises.
        """
        view, read, unpack = self._view, self._read, LENGTH.unpack_from
        start, end = 0, self._end
        for _ in range(_TURN_READS):
            try:
                size = read(RECORD_BYTES, view[end:] if end else view)
            except self._would_wait:
                break
            if not size:
                return False
            self.bytes += size
            end += size
            while end - start >= LENGTH_BYTES:
                (word,) = unpack(view, start)
                body = start + LENGTH_BYTES
                if not self._least <= word <= self._most:
                    after = body + control_size(word)
                    if after > end:
                        break
                    start = after
                    self._on_control(decode_control(view[body:after]))
                    continue
                after = body + word
                if after > end:
                    break
                start = after
                try:
                    self._write(view[body:after])  # type: ignore[misc]  # open() came before any word fits
                    self.frames += 1
                except OSError as error:
                    if error.errno in GONE:
                        raise
                    self.refused += 1
            if start == end:
                start = end = 0
            elif len(view) - end < RECORD_BYTES:
                view[: end - start] = view[start:end]
                start, end = 0, end - start
            # A record that is not full is most likely the last one for now; if not, epoll says so at once, and that
            # is cheaper than an exception from a read in vain.
            if size < RECORD_BYTES:
                break
        if start:
            view[: end - start] = view[start:end]
        self._end = end - start
        return True

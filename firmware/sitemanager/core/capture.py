"""Packets as a pcap file, which Wireshark and tcpdump read (draft-ietf-opsawg-pcap). No I/O."""

from __future__ import annotations

import struct
from typing import Annotated, Final

from msgspec import Meta

from .local import LocalAnswer, LocalRequest

MAX_FILE_BYTES: Final = 2 * 1024 * 1024
"""So much memory a capture takes, and so much fits an answer."""
MAX_FRAME_BYTES: Final = 2048
_HEADER: Final = struct.Struct("<IHHiIII")
_RECORD: Final = struct.Struct("<IIII")
_MAGIC, _ETHERNET = 0xA1B2C3D4, 1


class CaptureRequest(LocalRequest, frozen=True):
    """Record what goes over a machine-side port: for so long, or until the file is full."""

    seconds: Annotated[float, Meta(ge=0.1, le=60)] = 10.0
    interface: Annotated[str, Meta(max_length=15)] = ""
    """One of the machine side; empty: the first."""


class CaptureAnswer(LocalAnswer, frozen=True):
    """``pcap`` is the file. ``full``: there was more."""

    pcap: bytes
    frames: int
    full: bool


class PcapFile:
    """Grows until it is full."""

    def __init__(self) -> None:
        self._data = bytearray(_HEADER.pack(_MAGIC, 2, 4, 0, 0, MAX_FRAME_BYTES, _ETHERNET))
        self.frames = 0
        self.is_full = False

    @property
    def data(self) -> bytes:
        """The file."""
        return bytes(self._data)

    def add(self, frame: bytes, unix_s: float) -> None:
        """Put a frame in; a long one is cut, one that does not fit any more is dropped."""
        piece = frame[:MAX_FRAME_BYTES]
        if len(self._data) + _RECORD.size + len(piece) > MAX_FILE_BYTES:
            self.is_full = True
            return
        seconds = max(0, int(unix_s))
        micros = int((unix_s - int(unix_s)) * 1_000_000) if unix_s > 0 else 0
        self._data += _RECORD.pack(seconds & 0xFFFFFFFF, micros, len(piece), len(frame)) + piece
        self.frames += 1

"""Alarms and audit entries on disk until the GateManager has them: in order, none twice, bounded, over pulled plugs.

``events.log`` in the state directory is a row of records, each behind its length and CRC-32: an event, or 'everything
up to this number is kept there'. A record is synced before ``enqueue`` returns. A torn tail is cut off at the start.
When half of the file is of no use it is written anew. When the store is full the oldest events give way, and one entry
in their place says how many.
"""

from __future__ import annotations

import os
import struct
import zlib
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Final

import msgspec

from gatelink.files import write_atomically
from sitemanager.exceptions import StateError

FILE_NAME: Final = "events.log"
MOST_EVENTS: Final = 2000
MOST_TEXT: Final = 512
_HEAD: Final = struct.Struct("<II")
_MOST_RECORD_BYTES: Final = 4096
_COMPACT_BYTES: Final = 256 * 1024


class Event(msgspec.Struct, frozen=True, array_like=True, tag="event"):
    """One entry; ``number`` counts up by one for ever, ``at`` is Unix time as far as it was known."""

    number: int
    kind: str
    at: float
    text: str


class _Kept(msgspec.Struct, frozen=True, array_like=True, tag="kept"):
    """The GateManager has everything up to this number."""

    number: int


class _Lost(msgspec.Struct, frozen=True, array_like=True, tag="lost"):
    """So many events up to this number gave way."""

    number: int
    count: int


_Record = Event | _Kept | _Lost


class Outbox:
    """The store of one unit. ``now`` gives Unix seconds. Raises StateError where the disk fails."""

    def __init__(self, directory: Path, now: Callable[[], float], most_events: int = MOST_EVENTS) -> None:
        self._path = directory / FILE_NAME
        self._now = now
        self._most_events = most_events
        self._events: deque[Event] = deque()
        self._last = 0
        self._lost = _Lost(0, 0)
        self._size = 0
        self._open()

    def __len__(self) -> int:
        return len(self._events) + (1 if self._lost.count else 0)

    def enqueue(self, kind: str, text: str) -> int:
        """Keep an event; returns its number. It is on disk when this returns."""
        event = Event(self._last + 1, kind[:64], self._now(), text[:MOST_TEXT])
        self._append(event)
        self._take(event)
        self._shrink()
        return event.number

    def pending(self, most: int) -> list[Event]:
        """Return the oldest events that the GateManager has not acknowledged, at most so many."""
        found = [self._events[index] for index in range(min(most, len(self._events)))]
        if self._lost.count:
            at = found[0].at if found else self._now()
            text = f"{self._lost.count} older entries were lost: the store for times without a GateManager was full"
            found.insert(0, Event(self._lost.number, "events-lost", at, text))
        return found[:most]

    def acknowledge(self, number: int) -> None:
        """The GateManager has everything up to ``number``; an unknown or old number changes nothing."""
        if number > self._last or not len(self) or number < self.pending(1)[0].number:
            return
        self._append(_Kept(number))
        self._take(_Kept(number))
        self._shrink()

    def _take(self, record: _Record) -> None:
        """Let a record count."""
        self._last = max(self._last, record.number)
        match record:
            case Event():
                self._events.append(record)
                while len(self._events) > self._most_events:
                    oldest = self._events.popleft()
                    self._lost = _Lost(oldest.number, self._lost.count + 1)
            case _Kept():
                while self._events and self._events[0].number <= record.number:
                    self._events.popleft()
                if self._lost.number <= record.number:
                    self._lost = _Lost(record.number, 0)
            case _Lost():
                self._lost = record

    def _open(self) -> None:
        try:
            data = self._path.read_bytes()
        except FileNotFoundError:
            return
        except OSError as error:
            raise StateError(f"cannot read {self._path}: {error.strerror}") from None
        good = 0
        for record, end in _records(data):
            self._take(record)
            good = end
        if data and not good:
            # Nothing of it can be read: the numbers have to go on above all that were ever used.
            self._last = int(self._now())
            self._rewrite()
        elif good < len(data):
            try:
                os.truncate(self._path, good)
            except OSError as error:
                raise StateError(f"cannot write {self._path}: {error.strerror}") from None
        self._size = self._path.stat().st_size

    def _append(self, record: _Record) -> None:
        data = _framed(record)
        if not self._size:
            # A new file: its name has to be on the disk as well.
            self._rewrite()
        try:
            with self._path.open("ab") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            self._repair()
            raise StateError(f"cannot write {self._path}: {error.strerror}") from None
        self._size += len(data)

    def _repair(self) -> None:
        """A record that was half written must not hide those after it."""
        try:
            os.truncate(self._path, self._size)
        except OSError:
            return

    def _shrink(self) -> None:
        useful = 200 * (len(self._events) + 2)
        if self._size > max(_COMPACT_BYTES, 2 * useful):
            self._rewrite()

    def _rewrite(self) -> None:
        first = self._events[0].number - 1 if self._events else self._last
        records: list[_Record] = [_Kept(first), self._lost] if self._lost.count else [_Kept(first)]
        data = b"".join(_framed(record) for record in [*records, *self._events])
        try:
            write_atomically(self._path, data)
        except OSError as error:
            raise StateError(f"cannot write {self._path}: {error.strerror}") from None
        self._size = len(data)


def _framed(record: _Record) -> bytes:
    payload = msgspec.msgpack.encode(record)
    return _HEAD.pack(len(payload), zlib.crc32(payload)) + payload


def _records(data: bytes) -> list[tuple[_Record, int]]:
    """Every whole record with where it ends, up to the first that is none."""
    decoder = msgspec.msgpack.Decoder(_Record)
    found: list[tuple[_Record, int]] = []
    start = 0
    while start + _HEAD.size <= len(data):
        size, checksum = _HEAD.unpack_from(data, start)
        end = start + _HEAD.size + size
        payload = data[start + _HEAD.size : end]
        if size > _MOST_RECORD_BYTES or len(payload) < size or zlib.crc32(payload) != checksum:
            break
        try:
            found.append((decoder.decode(payload), end))
        except msgspec.DecodeError:
            break
        start = end
    return found

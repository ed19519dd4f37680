"""A file, pipe or device that was opened for overlapped I/O: one reader and one writer at a time, with time-outs.

Nothing is ever left to the driver after a call returned: what is given up is cancelled and waited for.
"""

from __future__ import annotations

import errno
from ctypes import byref, c_uint32, c_void_p
from typing import Any, Final

from .layouts import Overlapped

ERROR_BROKEN_PIPE: Final = 109
ERROR_IO_PENDING: Final = 997
ERROR_OPERATION_ABORTED: Final = 995
INFINITE: Final = 0xFFFFFFFF
_INVALID_HANDLE: Final = c_void_p(-1).value
_WAIT_OBJECT_0: Final = 0
_ADVICE: Final = {
    2: "it is not there",
    5: "access was denied",
    31: "the device does not work",
    ERROR_BROKEN_PIPE: "the other end hung up",
    231: "every instance of the pipe is busy",
    232: "the other end hung up",
    233: "nobody is at the other end",
}


class WindowsError(OSError):
    """A call of Windows failed; ``code`` is what GetLastError said."""

    def __init__(self, what: str, code: int) -> None:
        super().__init__(errno.EIO, f"{what}: {_ADVICE.get(code, 'see `net helpmsg`')} (error {code})")
        self.code = code


def is_invalid(handle: int | None) -> bool:
    """Whether a call that opens something failed."""
    return handle in (_INVALID_HANDLE, -1, None, 0)


class OverlappedFile:
    """Owns ``handle``. Raises WindowsError. ``read`` and ``write`` may each have one thread."""

    def __init__(self, kernel32: Any, handle: int, what: str) -> None:
        self.kernel32 = kernel32
        self.handle: int | None = handle
        self.what = what
        self._reading, self._writing = self._overlapped(), self._overlapped()
        self._interrupted = kernel32.CreateEventW(None, False, False, None)

    def read(self, buffer: Any, size_bytes: int, timeout_ms: int = INFINITE) -> int | None:
        """Read into a ctypes buffer; None when nothing came in time, or after ``interrupt``."""
        return self._transfer(self.kernel32.ReadFile, self._reading, buffer, size_bytes, timeout_ms)

    def write(self, buffer: Any, size_bytes: int, timeout_ms: int = INFINITE) -> int | None:
        """Write from a ctypes buffer; None when it was not taken in time."""
        return self._transfer(self.kernel32.WriteFile, self._writing, buffer, size_bytes, timeout_ms)

    def connect(self, timeout_ms: int = INFINITE) -> bool:
        """Wait until somebody opens the other end of a pipe; False as ``read`` says None."""

        def call(handle: int, _buffer: Any, _size: int, _moved: Any, overlapped: Any) -> int:
            return int(self.kernel32.ConnectNamedPipe(handle, overlapped))

        try:
            return self._transfer(call, self._reading, None, 0, timeout_ms) is not None
        except WindowsError as error:
            if error.code == _PIPE_CONNECTED:
                return True
            raise

    def interrupt(self) -> None:
        """Let the present or the next ``read`` or ``connect`` return without anything. Any thread."""
        self.kernel32.SetEvent(self._interrupted)

    def close(self) -> None:
        """Cancel what is under way and close. Idempotent; not while a thread is in a call (``interrupt`` it first)."""
        if self.handle is not None:
            self.kernel32.CancelIoEx(self.handle, None)
            for event in (self._reading.event, self._writing.event, self._interrupted):
                self.kernel32.CloseHandle(event)
            self.kernel32.CloseHandle(self.handle)
            self.handle = None

    def _transfer(self, call: Any, overlapped: Overlapped, buffer: Any, size_bytes: int, timeout_ms: int) -> int | None:
        kernel32, moved = self.kernel32, c_uint32()
        if not call(self.handle, buffer, size_bytes, byref(moved), byref(overlapped)):
            if (error := int(kernel32.GetLastError())) != ERROR_IO_PENDING:
                raise WindowsError(self.what, error)
            if not self._wait(overlapped, timeout_ms, may_interrupt=overlapped is self._reading):
                # Called off, and waited for: until then the driver may still write into the buffer.
                kernel32.CancelIoEx(self.handle, byref(overlapped))
            if not kernel32.GetOverlappedResult(self.handle, byref(overlapped), byref(moved), 1):
                if (error := int(kernel32.GetLastError())) == ERROR_OPERATION_ABORTED:
                    return None
                raise WindowsError(self.what, error)
        return int(moved.value)

    def _wait(self, overlapped: Overlapped, timeout_ms: int, *, may_interrupt: bool) -> bool:
        events = [overlapped.event, self._interrupted] if may_interrupt else [overlapped.event]
        waiting = (c_void_p * len(events))(*events)
        done = self.kernel32.WaitForMultipleObjects(len(events), waiting, 0, timeout_ms)
        return bool(done == _WAIT_OBJECT_0)

    def _overlapped(self) -> Overlapped:
        found = Overlapped()
        found.event = self.kernel32.CreateEventW(None, True, False, None)
        return found


_PIPE_CONNECTED: Final = 535
"""ERROR_PIPE_CONNECTED: the other end came between making the pipe and waiting for it."""

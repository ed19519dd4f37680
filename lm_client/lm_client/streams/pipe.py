"""Named pipes (Windows): the token of who connected says who it is, adapters are handed over by DuplicateHandle.

A pipe that is for everybody may be opened by programs of the signed-in users of this PC (never over the network), and
made by its owner alone: no right to make another instance of it is given. The client looks who owns the pipe before it
says anything, and lets the server see who he is, not act as him.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import hashlib
import threading
from ctypes import byref, c_uint32, c_void_p
from pathlib import PurePath
from typing import Any, Final

from lm_client.host.windows.layouts import SecurityAttributes
from lm_client.host.windows.overlapped import (
    ERROR_BROKEN_PIPE,
    INFINITE,
    OverlappedFile,
    WindowsError,
    is_invalid,
)
from lm_client.host.windows.security import ADMINISTRATORS, SYSTEM, Security

PREFIX: Final = "\\\\.\\pipe\\"
_DUPLEX_OVERLAPPED: Final = 0x3 | 0x40000000
_FIRST_INSTANCE: Final = 0x00080000
_REJECT_REMOTE: Final = 0x8
_MAX_INSTANCES: Final = 255
_BUFFER_BYTES: Final = 64 * 1024
# Data and attributes, both ways, READ_CONTROL and SYNCHRONIZE; not FILE_CREATE_PIPE_INSTANCE.
_USE_RIGHTS: Final = 0x00120183
_OPEN_EXISTING: Final = 3
# FILE_FLAG_OVERLAPPED | SECURITY_SQOS_PRESENT | SECURITY_IDENTIFICATION
_CLIENT_FLAGS: Final = 0x40000000 | 0x00100000 | 0x00010000
_DUP_HANDLE: Final = 0x0040
_SAME_ACCESS: Final = 0x2
_ERROR_ACCESS_DENIED, _ERROR_PIPE_BUSY, _ERROR_NO_DATA, _ERROR_NOT_CONNECTED = 5, 231, 232, 233
_HUNG_UP: Final = frozenset({ERROR_BROKEN_PIPE, _ERROR_NO_DATA, _ERROR_NOT_CONNECTED})
_BUSY_WAIT_MS: Final = 2000
_GREETING: Final = b"\0"
_GREETING_S: Final = 5.0
FOR_EVERYBODY: Final = f"D:P(D;;GA;;;NU)(A;;GA;;;SY)(A;;GA;;;BA)(A;;{_USE_RIGHTS:#x};;;IU)"
"""Not the network; the system and administrators whatever they like; who is signed in at this PC may talk."""
FOR_OWNER: Final = "D:P(D;;GA;;;NU)(A;;GA;;;SY)(A;;GA;;;OW)"


def pipe_name(path: PurePath) -> str:
    """Return the pipe's name for a path: pipes are in no directory."""
    text = str(path)
    if text.startswith(PREFIX):
        return text
    return f"{PREFIX}gatelink-lm-{hashlib.sha256(text.casefold().encode()).hexdigest()[:20]}"


class Windows:
    """The DLLs; a test gives others."""

    def __init__(self, kernel32: Any = None, advapi32: Any = None) -> None:
        if kernel32 is None:
            from lm_client.host.windows.dlls import load

            kernel32, advapi32 = load("kernel32"), load("advapi32")
        self.kernel32 = kernel32
        self.security = Security(advapi32, kernel32)

    def error(self, what: str) -> WindowsError:
        """Return what the last call failed with."""
        return WindowsError(what, int(self.kernel32.GetLastError()))


class PipeStream:
    """One end of a connected pipe, which it owns."""

    def __init__(self, windows: Windows, file: OverlappedFile, *, is_server: bool) -> None:
        self._windows = windows
        self._file = file
        self._is_server = is_server
        self._timeout_ms = INFINITE
        self._buffer = ctypes.create_string_buffer(_BUFFER_BYTES)
        self._greeted = ""
        self._hung_up = threading.Event()
        self._in_use = threading.Lock()

    @property
    def caller(self) -> str:
        """The SID of the user at the other end; of the server, that of the pipe's owner.

        Windows knows who a client is once something of his was read: his greeting, for which this waits.
        """
        handle, security = self._file.handle or 0, self._windows.security
        if not self._is_server:
            return security.owner_of(handle)
        if not self._greeted:
            self.settimeout(_GREETING_S)
            if self.recv(len(_GREETING)) != _GREETING:
                raise OSError(f"{self._file.what}: who connected did not greet")
            self.settimeout(None)
            self._greeted = security.sid_of_client(handle)
        return self._greeted

    @property
    def session(self) -> int:
        """The desktop session of the client's process; 0 is that of services."""
        found = c_uint32()
        if not self._windows.kernel32.GetNamedPipeClientSessionId(self._file.handle, byref(found)):
            raise self._windows.error(self._file.what)
        return int(found.value)

    def settimeout(self, seconds: float | None) -> None:
        """Bound every call."""
        self._timeout_ms = INFINITE if seconds is None else round(seconds * 1000)

    def recv(self, size_bytes: int) -> bytes:
        """Wait for something."""
        with self._in_use:
            if self._hung_up.is_set():
                return b""
            try:
                size = self._file.read(self._buffer, min(size_bytes, _BUFFER_BYTES), self._timeout_ms)
            except WindowsError as error:
                if error.code in _HUNG_UP:
                    return b""
                raise
            if size is not None:
                return ctypes.string_at(self._buffer, size)
            if self._hung_up.is_set():
                return b""
            raise TimeoutError(f"{self._file.what}: nothing came in time")

    def sendall(self, data: bytes) -> None:
        """Send all of it."""
        start = 0
        while start < len(data):
            part = data[start : start + _BUFFER_BYTES]
            buffer = ctypes.create_string_buffer(part, len(part))
            size = self._file.write(buffer, len(part), self._timeout_ms)
            if size is None:
                raise TimeoutError(f"{self._file.what}: the other end took nothing in time")
            start += size

    def hand_over(self, descriptor: int) -> int:
        """Give the process at the other end a handle of its own; return its number there."""
        kernel32, pid, found = self._windows.kernel32, c_uint32(), c_void_p()
        if not kernel32.GetNamedPipeClientProcessId(self._file.handle, byref(pid)):
            raise self._windows.error(self._file.what)
        process = kernel32.OpenProcess(_DUP_HANDLE, 0, pid.value)
        if is_invalid(process):
            raise self._windows.error(f"the process {pid.value} that asked for an adapter")
        try:
            own = kernel32.GetCurrentProcess()
            if not kernel32.DuplicateHandle(own, descriptor, process, byref(found), 0, 0, _SAME_ACCESS):
                raise self._windows.error(f"handing an adapter to the process {pid.value}")
        finally:
            kernel32.CloseHandle(process)
        return int(found.value or 0)

    def taken(self, number: int) -> int | None:
        """Return the handle: it is ours already."""
        return number or None

    def is_alive(self) -> bool:
        """Look whether the other end hung up."""
        return bool(self._windows.kernel32.PeekNamedPipe(self._file.handle, None, 0, None, None, None))

    def hang_up(self) -> None:
        """End it, from any thread."""
        self._hung_up.set()
        self._file.interrupt()

    def close(self) -> None:
        """Close the handle. The other end still reads what was sent."""
        self.hang_up()
        with self._in_use:
            self._file.close()


class PipeEndpoint:
    """Listens from construction on. Raises BlockingIOError if somebody else has a pipe of that name."""

    def __init__(self, name: str, *, for_everybody: bool, windows: Windows | None = None) -> None:
        self._windows = windows or Windows()
        self._name = name
        self._attributes = SecurityAttributes()
        self._attributes.size = ctypes.sizeof(SecurityAttributes)
        self._attributes.descriptor = self._windows.security.descriptor(
            FOR_EVERYBODY if for_everybody else FOR_OWNER
        ).value
        self._closed = threading.Event()
        self._next: OverlappedFile | None = self._make(_FIRST_INSTANCE)
        self._accepting = threading.Lock()

    def accept(self) -> PipeStream:
        """Wait for the next one. One thread alone calls this."""
        with self._accepting:
            waiting = self._next
            if waiting is None or not waiting.connect() or self._closed.is_set():
                raise OSError(errno.EBADF, f"{self._name} is closed")
            # The next instance before this one is served: somebody always listens, so that nobody else takes the name.
            self._next = self._make(0)
        return PipeStream(self._windows, waiting, is_server=True)

    def close(self) -> None:
        """Stop listening. Idempotent."""
        self._closed.set()
        if self._next is not None:
            self._next.interrupt()
        with self._accepting:
            if self._next is not None:
                self._next.close()
                self._next = None

    def _make(self, flags: int) -> OverlappedFile:
        kernel32 = self._windows.kernel32
        handle = kernel32.CreateNamedPipeW(
            self._name,
            _DUPLEX_OVERLAPPED | flags,
            _REJECT_REMOTE,
            _MAX_INSTANCES,
            _BUFFER_BYTES,
            _BUFFER_BYTES,
            0,
            byref(self._attributes),
        )
        if is_invalid(handle):
            error = self._windows.error(self._name)
            if flags & _FIRST_INSTANCE and error.code in (_ERROR_ACCESS_DENIED, _ERROR_PIPE_BUSY):
                raise BlockingIOError(*error.args)
            raise error
        return OverlappedFile(kernel32, handle, self._name)


def connect(
    name: str, timeout_s: float | None, owners: frozenset[str] | None = None, windows: Windows | None = None
) -> PipeStream:
    """Connect to a pipe that belongs to the system, to administrators or to ourselves. Raises OSError."""
    windows = windows or Windows()
    kernel32 = windows.kernel32
    handle = kernel32.CreateFileW(name, _USE_RIGHTS, 0, None, _OPEN_EXISTING, _CLIENT_FLAGS, None)
    if is_invalid(handle) and int(kernel32.GetLastError()) == _ERROR_PIPE_BUSY:
        kernel32.WaitNamedPipeW(name, _BUSY_WAIT_MS)
        handle = kernel32.CreateFileW(name, _USE_RIGHTS, 0, None, _OPEN_EXISTING, _CLIENT_FLAGS, None)
    if is_invalid(handle):
        error = windows.error(name)
        raise FileNotFoundError(*error.args) if error.code == 2 else error
    stream = PipeStream(windows, OverlappedFile(kernel32, handle, name), is_server=False)
    try:
        expected = owners or frozenset({SYSTEM, ADMINISTRATORS, windows.security.own_sid()})
        if (owner := stream.caller) not in expected:
            raise PermissionError(errno.EPERM, f"it belongs to {owner}: expected the system or this user")
    except BaseException:
        with contextlib.suppress(OSError):
            stream.close()
        raise
    stream.settimeout(timeout_s)
    stream.sendall(_GREETING)
    return stream

"""Runs the LinkManager's Windows code against the DLLs of Wine (not in CI): ``make`` has no target for it.

    PYTHONPATH=tests .venv/bin/python -P -m vectors.windows.wine

Needs Debian's gcc-mingw-w64-x86-64 and wine64. There is no Python of Windows here: the code runs in this one, and each
call of a DLL is carried out by ``calls.c`` in a process of Wine. The prototypes are those of ``dlls.PROTOTYPES``.
"""

from __future__ import annotations

import ctypes
import os
import socket
import struct
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from ctypes import c_void_p, c_wchar_p
from pathlib import Path
from typing import Any, Final

from lm_client.host.windows import layouts
from lm_client.host.windows.dlls import PROTOTYPES
from lm_client.host.windows.security import Security

HERE: Final = Path(__file__).parent
WINE: Final = "/usr/lib/wine/wine64"
_STARTS: Final = frozenset({"ReadFile", "WriteFile", "ConnectNamedPipe"})
"""What begins overlapped I/O; to other functions the structure goes as it is there."""
_TABLES: Final = {
    "GetIpForwardTable2": (layouts.IpForwardTable2, layouts.IpForwardRow2),
    "GetUnicastIpAddressTable": (layouts.UnicastIpAddressTable, layouts.UnicastIpAddressRow),
}


class Process:
    """A process of Wine that calls; each thread of ours has a thread there."""

    def __init__(self, program: Path, environment: dict[str, str]) -> None:
        self._process = subprocess.Popen([WINE, str(program)], env=environment, stdout=subprocess.PIPE)
        assert self._process.stdout is not None
        self._port = int(self._process.stdout.readline())
        self._threads = threading.local()
        self._connections: list[socket.socket] = []
        self._buffers: dict[int, Any] = {}
        self._tables: dict[int, tuple[int, Any]] = {}

    def dll(self, name: str) -> Dll:
        """Return what plays a DLL."""
        return Dll(self, name)

    def close(self) -> None:
        """End it."""
        for connection in self._connections:
            connection.close()
        self._process.kill()
        self._process.wait()
        assert self._process.stdout is not None
        self._process.stdout.close()

    def read(self, address: int, size_bytes: int) -> bytes:
        """Return memory of the process."""
        return self._exchange(b"\0read\0", [b"\0" + struct.pack("<Q", n) for n in (address, size_bytes)])[12:]

    def call(self, dll: str, name: str, arguments: tuple[Any, ...]) -> Any:
        """Call it there."""
        if name == "GetLastError":
            return self._threads.error
        restype, argtypes = PROTOTYPES[dll][name]
        assert len(arguments) == len(argtypes), f"{name} takes {len(argtypes)} arguments"
        if name == "FreeMibTable":
            remote, _keep = self._tables.pop(ctypes.cast(arguments[0], c_void_p).value or 0)
            arguments = (remote,)
        parts: list[bytes] = []
        memories: list[tuple[int, int]] = []
        for kind, value in zip(argtypes, arguments, strict=True):
            parts.append(_pack(name, kind, value, memories))
        answer = self._exchange(f"{dll}.dll\0{name}\0".encode(), parts)
        result, error = struct.unpack_from("<QI", answer)
        self._threads.error = error
        at = 12
        for memory in memories:
            address, size = memory
            ctypes.memmove(address, answer[at : at + size], size)
            at += size
        self._follow(name, arguments)
        if restype is None:
            return None
        value = restype(result & (1 << 8 * ctypes.sizeof(restype)) - 1).value
        if name in _TABLES and not value:
            self._fetch_table(name, arguments[1])
        return value

    def _follow(self, name: str, arguments: tuple[Any, ...]) -> None:
        """What overlapped reading brought is fetched when its result is asked for."""
        if name == "ReadFile":
            self._buffers[ctypes.addressof(arguments[4]._obj)] = arguments[1]
        elif name == "GetOverlappedResult":
            buffer = self._buffers.get(ctypes.addressof(arguments[1]._obj))
            if buffer is not None:
                part = b"\1" + struct.pack("<QI", ctypes.addressof(buffer), ctypes.sizeof(buffer))
                kept = self._threads.error
                # GetTickCount takes nothing: what it is given here comes back as it is there.
                fresh = self._exchange(b"kernel32.dll\0GetTickCount\0", [part])[12:]
                ctypes.memmove(buffer, fresh, ctypes.sizeof(buffer))
                self._threads.error = kept

    def _fetch_table(self, name: str, pointer: Any) -> None:
        table, row = _TABLES[name]
        remote = ctypes.cast(pointer._obj, c_void_p).value or 0
        (count,) = struct.unpack("<I", self.read(remote, 4))
        size = table.rows.offset + count * ctypes.sizeof(row)
        local = ctypes.create_string_buffer(self.read(remote, size), max(size, ctypes.sizeof(table)))
        ctypes.memmove(ctypes.byref(pointer._obj), ctypes.byref(c_void_p(ctypes.addressof(local))), 8)
        self._tables[ctypes.addressof(local)] = (remote, local)

    def _exchange(self, words: bytes, parts: list[bytes]) -> bytes:
        connection: socket.socket | None = getattr(self._threads, "connection", None)
        if connection is None:
            connection = self._threads.connection = socket.create_connection(("127.0.0.1", self._port))
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._connections.append(connection)
        request = words + struct.pack("<I", len(parts)) + b"".join(parts)
        connection.sendall(struct.pack("<I", len(request)) + request)
        (size,) = struct.unpack("<I", _exactly(connection, 4))
        return _exactly(connection, size)


class Dll:
    """Its functions are attributes, as with ctypes."""

    def __init__(self, process: Process, name: str) -> None:
        self._process, self._name = process, name

    def __getattr__(self, function: str) -> Any:
        return lambda *arguments: self._process.call(self._name, function, arguments)


class RemoteSecurity(Security):
    """Texts that Windows made lie in the other process."""

    def __init__(self, process: Process) -> None:
        super().__init__(process.dll("advapi32"), process.dll("kernel32"))
        self._process = process

    def _wide_text(self, address: int) -> str:
        return self._process.read(address, 400).decode("utf-16-le", "replace").partition("\0")[0]


def _pack(name: str, kind: Any, value: Any, memories: list[tuple[int, int]]) -> bytes:
    if kind is c_wchar_p and isinstance(value, str):
        # It may be referred to for long: never freed.
        value = ctypes.create_string_buffer((value + "\0").encode("utf-16-le"))
        _texts.append(value)
    target = getattr(value, "_obj", value if isinstance(value, ctypes.Array) else None)
    if target is None:
        number = getattr(value, "value", value) or 0
        return b"\0" + struct.pack("<Q", number & (1 << 8 * ctypes.sizeof(kind)) - 1)
    address, size = ctypes.addressof(target), ctypes.sizeof(target)
    memories.append((address, size))
    head = struct.pack("<QI", address, size)
    if isinstance(target, layouts.Overlapped) and name not in _STARTS:
        return b"\1" + head
    return b"\2" + head + ctypes.string_at(address, size)


_texts: list[Any] = []


def _exactly(connection: socket.socket, size: int) -> bytes:
    found = b""
    while len(found) < size:
        part = connection.recv(size - len(found))
        if not part:
            raise EOFError("the process of Wine ended")
        found += part
    return found


@contextmanager
def processes(count: int) -> Iterator[list[Process]]:
    """Compile ``calls.c`` and start it so many times."""
    prefix = Path(os.environ.get("WINEPREFIX", str(Path(tempfile.gettempdir()) / "gatelink-wine")))
    prefix.mkdir(parents=True, exist_ok=True)
    environment = os.environ | {"WINEPREFIX": str(prefix), "WINEDEBUG": "-all", "WINEARCH": "win64"}
    program = prefix / "calls.exe"
    compiler = ["x86_64-w64-mingw32-gcc", "-O1", "-o", str(program), str(HERE / "calls.c"), "-lws2_32"]
    subprocess.run(compiler, check=True)
    made = [Process(program, environment) for _ in range(count)]
    try:
        yield made
    finally:
        for process in made:
            process.close()


if __name__ == "__main__":
    from vectors.windows.wine_trials import run

    sys.exit(run())

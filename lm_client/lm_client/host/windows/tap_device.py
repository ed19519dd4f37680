"""tap-windows6: an adapter as an open device, read and written by overlapped I/O.

Control codes and the device's name are those of the driver's public header (tap-windows.h). One frame a call; there is
no virtio-net header, so this end offers no offload.
"""

from __future__ import annotations

import ctypes
from collections.abc import Iterable, Mapping
from ctypes import byref, c_uint32
from typing import Any, Final

from lm_client.exceptions import HostError

from .layouts import Overlapped

COMPONENT_IDS: Final = ("tap0901", "root\\tap0901")
ADAPTER_CLASS: Final = r"SYSTEM\CurrentControlSet\Control\Class\{4D36E972-E325-11CE-BFC1-08002BE10318}"
ERROR_IO_PENDING: Final = 997
ERROR_OPERATION_ABORTED: Final = 995
_GENERIC_READ_WRITE: Final = 0xC0000000
_OPEN_EXISTING: Final = 3
_FILE_ATTRIBUTE_SYSTEM: Final = 0x4
_FILE_FLAG_OVERLAPPED: Final = 0x40000000
_INVALID_HANDLE: Final = ctypes.c_void_p(-1).value
_WAIT_TIMEOUT: Final = 0x102


def control_code(request: int) -> int:
    """Return CTL_CODE(FILE_DEVICE_UNKNOWN, request, METHOD_BUFFERED, FILE_ANY_ACCESS)."""
    return 0x22 << 16 | request << 2


GET_MTU: Final = control_code(3)
SET_MEDIA_STATUS: Final = control_code(6)


def find_adapters(classes: Iterable[Mapping[str, str]]) -> list[str]:
    """Return the GUIDs ({...}) of TAP adapters among the values of the registry's keys below ``ADAPTER_CLASS``."""
    return [
        values["NetCfgInstanceId"]
        for values in classes
        if values.get("ComponentId", "").lower() in COMPONENT_IDS and "NetCfgInstanceId" in values
    ]


class TapDevice:
    """An open adapter; ``kernel32`` is ``ctypes.WinDLL("kernel32", use_last_error=True)``. Raises HostError."""

    def __init__(self, kernel32: Any, guid: str) -> None:
        self._kernel32 = kernel32
        self.guid = guid
        path = f"\\\\.\\Global\\{guid}.tap"
        flags = _FILE_ATTRIBUTE_SYSTEM | _FILE_FLAG_OVERLAPPED
        handle = kernel32.CreateFileW(path, _GENERIC_READ_WRITE, 0, None, _OPEN_EXISTING, flags, None)
        if handle in (_INVALID_HANDLE, -1, None):
            raise HostError(f"cannot open the TAP adapter {guid}: error {self._error()}; is another program using it?")
        self._handle = handle
        self._reading, self._writing = self._overlapped(), self._overlapped()

    def set_connected(self, *, connected: bool) -> None:
        """Plug the virtual cable in or out."""
        value, size = c_uint32(int(connected)), c_uint32()
        done = self._kernel32.DeviceIoControl(
            self._handle, SET_MEDIA_STATUS, byref(value), 4, byref(value), 4, byref(size), None
        )
        if not done:
            raise HostError(f"the TAP adapter {self.guid} does not take its state: error {self._error()}")

    def read(self, buffer: Any, size_bytes: int, timeout_ms: int) -> int:
        """Read one frame into a ctypes buffer; 0 when none came in time."""
        return self._transfer(self._kernel32.ReadFile, self._reading, buffer, size_bytes, timeout_ms)

    def write(self, buffer: Any, size_bytes: int, timeout_ms: int) -> int:
        """Write one frame."""
        return self._transfer(self._kernel32.WriteFile, self._writing, buffer, size_bytes, timeout_ms)

    def close(self) -> None:
        """Unplug and close. Idempotent."""
        if self._handle is not None:
            self._kernel32.CancelIoEx(self._handle, None)
            for overlapped in (self._reading, self._writing):
                self._kernel32.CloseHandle(overlapped.event)
            self._kernel32.CloseHandle(self._handle)
            self._handle = None

    def _transfer(self, call: Any, overlapped: Overlapped, buffer: Any, size_bytes: int, timeout_ms: int) -> int:
        moved = c_uint32()
        if not call(self._handle, buffer, size_bytes, byref(moved), byref(overlapped)):
            if (error := self._error()) != ERROR_IO_PENDING:
                raise HostError(f"the TAP adapter {self.guid} is gone: error {error}")
            if self._kernel32.WaitForSingleObject(overlapped.event, timeout_ms) == _WAIT_TIMEOUT:
                # Called off, and waited for: until then the driver may still write into the buffer.
                self._kernel32.CancelIoEx(self._handle, byref(overlapped))
            if not self._kernel32.GetOverlappedResult(self._handle, byref(overlapped), byref(moved), True):
                if (error := self._error()) == ERROR_OPERATION_ABORTED:
                    return 0
                raise HostError(f"the TAP adapter {self.guid} is gone: error {error}")
        return int(moved.value)

    def _overlapped(self) -> Overlapped:
        found = Overlapped()
        found.event = self._kernel32.CreateEventW(None, True, False, None)
        return found

    def _error(self) -> int:
        return int(self._kernel32.GetLastError())

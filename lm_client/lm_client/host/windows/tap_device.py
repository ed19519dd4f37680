"""tap-windows6: an adapter as an open device, read and written by overlapped I/O.

Control codes and the device's name are those of the driver's public header (tap-windows.h). One frame a call; there is
no virtio-net header, so this end offers no offload. The service opens the device, the agent works with a handle of its
own to it (``portable_pump.FrameDevice``).
"""

from __future__ import annotations

import ctypes
import errno
from collections.abc import Iterable, Mapping
from ctypes import byref, c_uint32
from typing import Any, Final

from gatelink.exceptions import TapError
from gatelink.tunnel.framing import MAX_ETHERNET_BYTES
from lm_client.exceptions import HostError

from .overlapped import OverlappedFile, WindowsError, is_invalid

COMPONENT_IDS: Final = ("tap0901", "root\\tap0901")
ADAPTER_CLASS: Final = r"SYSTEM\CurrentControlSet\Control\Class\{4D36E972-E325-11CE-BFC1-08002BE10318}"
CONNECTIONS: Final = r"SYSTEM\CurrentControlSet\Control\Network\{4D36E972-E325-11CE-BFC1-08002BE10318}"
_GENERIC_READ_WRITE: Final = 0xC0000000
_OPEN_EXISTING: Final = 3
_FILE_ATTRIBUTE_SYSTEM: Final = 0x4
_FILE_FLAG_OVERLAPPED: Final = 0x40000000
_WRITE_TIMEOUT_MS: Final = 1000
"""The driver takes a frame at once; one that is not taken by then is lost, as on a full line."""
_REFUSES_ONE_FRAME: Final = frozenset({87})
"""ERROR_INVALID_PARAMETER: a frame that is too short or too long. Every other error concerns the adapter."""
_DRAIN_FRAMES: Final = 4096


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
    """Owns an open handle; ``kernel32`` is ``dlls.load("kernel32")``. As a ``FrameDevice`` it raises TapError."""

    def __init__(self, kernel32: Any, handle: int, name: str) -> None:
        self.name = name
        self._file = OverlappedFile(kernel32, handle, f"the TAP adapter {name}")
        self._received = ctypes.create_string_buffer(MAX_ETHERNET_BYTES)
        self._sent = ctypes.create_string_buffer(MAX_ETHERNET_BYTES)

    @property
    def handle(self) -> int:
        """To hand over a handle of its own to somebody else."""
        return self._file.handle or 0

    def set_connected(self, *, connected: bool) -> None:
        """Plug the virtual cable in or out. Raises HostError."""
        kernel32, value, size = self._file.kernel32, c_uint32(int(connected)), c_uint32()
        done = kernel32.DeviceIoControl(
            self._file.handle, SET_MEDIA_STATUS, byref(value), 4, byref(value), 4, byref(size), None
        )
        if not done:
            error = int(kernel32.GetLastError())
            raise HostError(f"the TAP adapter {self.name} does not take its state: error {error}")

    def read_frame(self, view: memoryview) -> int:
        """Wait for a frame; 0 after ``interrupt``."""
        try:
            size = self._file.read(self._received, min(len(view), MAX_ETHERNET_BYTES)) or 0
        except WindowsError as error:
            raise TapError(f"{error.strerror}: the adapter was removed or switched off") from None
        view[:size] = ctypes.string_at(self._received, size)
        return size

    def write_frame(self, view: memoryview) -> int | None:
        """Give it a frame; None when it takes nothing now."""
        size = len(view)
        ctypes.memmove(self._sent, bytes(view), size)
        try:
            return self._file.write(self._sent, size, _WRITE_TIMEOUT_MS)
        except WindowsError as error:
            if error.code in _REFUSES_ONE_FRAME:
                raise OSError(errno.EINVAL, error.strerror) from None
            raise TapError(f"{error.strerror}: the adapter was removed or switched off") from None

    def interrupt(self) -> None:
        """Let a ``read_frame`` return 0."""
        self._file.interrupt()

    def drain(self) -> None:
        """Throw away what waits. No pump may use it meanwhile."""
        for _ in range(_DRAIN_FRAMES):
            try:
                if not self._file.read(self._received, MAX_ETHERNET_BYTES, 0):
                    return
            except WindowsError:
                return

    def close(self) -> None:
        """Close the handle. Idempotent."""
        self._file.close()


def open_tap(kernel32: Any, guid: str) -> TapDevice:
    """Open the adapter; only one can have it open. Raises HostError."""
    path = f"\\\\.\\Global\\{guid}.tap"
    flags = _FILE_ATTRIBUTE_SYSTEM | _FILE_FLAG_OVERLAPPED
    handle = kernel32.CreateFileW(path, _GENERIC_READ_WRITE, 0, None, _OPEN_EXISTING, flags, None)
    if is_invalid(handle):
        error = int(kernel32.GetLastError())
        raise HostError(f"cannot open the TAP adapter {guid}: error {error}; is another program using it?")
    return TapDevice(kernel32, handle, guid)

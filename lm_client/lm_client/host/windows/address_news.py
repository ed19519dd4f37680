"""Windows says that an address of this PC came, went or changed (IP Helper API, NotifyUnicastIpAddressChange)."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from typing import Any, Final

from lm_client.exceptions import HostError

_AF_UNSPEC: Final = 0
_CALLBACK: Final[Any] = getattr(ctypes, "WINFUNCTYPE", ctypes.CFUNCTYPE)(
    None, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int32
)
"""Of the caller's context, the row (MIB_UNICASTIPADDRESS_ROW) and what happened to it: none of them is looked at."""


class AddressNews:
    """From construction to ``close``; ``dll`` is ``dlls.load("iphlpapi")``. Raises HostError.

    ``tell`` is called by a thread of the system, and must not wait for whoever calls ``close``.
    """

    def __init__(self, dll: Any, tell: Callable[[], None]) -> None:
        self._dll = dll
        self._callback = _CALLBACK(lambda _context, _row, _kind: tell())  # kept: Windows has no more than its address
        self._handle = ctypes.c_void_p()
        place = ctypes.cast(self._callback, ctypes.c_void_p)
        error = dll.NotifyUnicastIpAddressChange(_AF_UNSPEC, place, None, 0, ctypes.byref(self._handle))
        if error:
            raise HostError(f"Windows does not tell of changed addresses: error {error}")

    def close(self) -> None:
        """Hear no more: a call that is under way ends first. Idempotent."""
        if self._handle.value:
            self._dll.CancelMibChangeNotify2(self._handle)
            self._handle = ctypes.c_void_p()

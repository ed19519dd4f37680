"""A Windows service: what the Service Control Manager (SCM) wants of a process that it starts.

main thread       StartServiceCtrlDispatcher: blocks until the service has stopped
SCM's thread      main: says "start pending", runs ``serve``, says "running" when it may be used, "stopped" at the end
any SCM thread    handler: stop and shutdown call ``stop``; everything else is answered with what is
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from ctypes import CFUNCTYPE, byref, c_uint32, c_void_p, c_wchar_p
from typing import Any, Final

from lm_client.exceptions import HostError

from .layouts import ServiceStatus, ServiceTableEntry

OWN_PROCESS: Final = 0x10
STOPPED, START_PENDING, STOP_PENDING, RUNNING = 1, 2, 3, 4
ACCEPT_STOP_AND_SHUTDOWN: Final = 0x1 | 0x4
CONTROL_STOP, CONTROL_INTERROGATE, CONTROL_SHUTDOWN = 1, 4, 5
NO_ERROR, ERROR_CALL_NOT_IMPLEMENTED, ERROR_SERVICE_SPECIFIC_ERROR = 0, 120, 1066
ERROR_NOT_STARTED_BY_SCM: Final = 1063
_WAIT_HINT_MS: Final = 30_000

# On 64-bit Windows there is one calling convention: CFUNCTYPE is right, and exists elsewhere too.
MAIN_TYPE: Final = CFUNCTYPE(None, c_uint32, c_void_p)
HANDLER_TYPE: Final = CFUNCTYPE(c_uint32, c_uint32, c_uint32, c_void_p, c_void_p)

Serve = Callable[[Callable[[], None]], None]
"""Runs until ``stop``; calls what it is given once it can be used."""


class WindowsService:
    """One service of this process. ``stop`` makes ``serve`` return; it is called in a thread of the SCM."""

    def __init__(self, advapi32: Any, kernel32: Any, name: str, serve: Serve, stop: Callable[[], None]) -> None:
        self._advapi32 = advapi32
        self._kernel32 = kernel32
        self._name = name
        self._serve = serve
        self._stop = stop
        self._handle: int | None = None
        self._state = START_PENDING
        self._check_point = 0
        self.failure: BaseException | None = None
        # Kept: ctypes frees what nobody refers to, and the SCM calls it later.
        self._main = MAIN_TYPE(self._run)
        self._handler = HANDLER_TYPE(self._on_control)
        self._wide_name = c_wchar_p(name)

    def dispatch(self) -> bool:
        """Be the service until it has stopped; False if no SCM started this process (somebody typed it)."""
        entries = (ServiceTableEntry * 2)()
        entries[0].name = ctypes.cast(self._wide_name, c_void_p).value
        entries[0].main = ctypes.cast(self._main, c_void_p).value
        if self._advapi32.StartServiceCtrlDispatcherW(byref(entries)):
            return True
        if (error := int(self._kernel32.GetLastError())) == ERROR_NOT_STARTED_BY_SCM:
            return False
        raise HostError(f"the service control manager does not take the service {self._name}: error {error}")

    def _run(self, _count: int, _arguments: int | None) -> None:
        """ServiceMain. Nothing may escape: there is nobody above."""
        handler = ctypes.cast(self._handler, c_void_p)
        self._handle = self._advapi32.RegisterServiceCtrlHandlerExW(self._name, handler, None)
        if not self._handle:
            self.failure = HostError(f"no control handler for {self._name}: error {self._kernel32.GetLastError()}")
            return
        self._say(START_PENDING)
        try:
            self._serve(lambda: self._say(RUNNING))
        except BaseException as error:  # noqa: BLE001  # the SCM must hear of every end
            self.failure = error
        self._say(STOPPED)

    def _on_control(self, control: int, _event: int, _data: int | None, _context: int | None) -> int:
        if control in (CONTROL_STOP, CONTROL_SHUTDOWN):
            self._say(STOP_PENDING)
            self._stop()
            return NO_ERROR
        if control == CONTROL_INTERROGATE:
            return NO_ERROR
        return ERROR_CALL_NOT_IMPLEMENTED

    def _say(self, state: int) -> None:
        self._state = state
        is_pending = state in (START_PENDING, STOP_PENDING)
        self._check_point = self._check_point + 1 if is_pending else 0
        status = ServiceStatus(
            service_type=OWN_PROCESS,
            current_state=state,
            controls_accepted=ACCEPT_STOP_AND_SHUTDOWN if state == RUNNING else 0,
            exit_code=ERROR_SERVICE_SPECIFIC_ERROR if state == STOPPED and self.failure else NO_ERROR,
            specific_exit_code=1 if state == STOPPED and self.failure else 0,
            check_point=self._check_point,
            wait_hint_ms=_WAIT_HINT_MS if is_pending else 0,
        )
        self._advapi32.SetServiceStatus(self._handle, byref(status))

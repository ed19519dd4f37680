"""The service on Windows: what it says to the service control manager, its pipe's name and rights, who may use it."""

from __future__ import annotations

import ctypes
import re
import threading
from collections.abc import Callable
from pathlib import Path, PureWindowsPath
from typing import Any

import pytest

from lm_client.exceptions import HostError
from lm_client.host.windows import dlls, scm
from lm_client.host.windows.callers import WindowsCallers
from lm_client.streams import pipe


class FakeScm:
    """advapi32.dll: starts the service's main as the SCM does, in a thread of its own, and sends it controls."""

    def __init__(self, *, by_hand: bool = False) -> None:
        self._by_hand = by_hand
        self.states: list[tuple[int, int, int]] = []
        self.running = threading.Event()
        self.handler: Any = None

    def StartServiceCtrlDispatcherW(self, entries: Any) -> int:  # noqa: N802
        if self._by_hand:
            return 0
        first, last = entries._obj
        assert ctypes.cast(first.name, ctypes.c_wchar_p).value == "gatelink-lm"
        assert (last.name, last.main) == (None, None)
        thread = threading.Thread(target=scm.MAIN_TYPE(first.main), args=(0, None))
        thread.start()
        thread.join(60)
        return 1

    def RegisterServiceCtrlHandlerExW(self, name: str, handler: Any, _context: None) -> int:  # noqa: N802
        self.handler = scm.HANDLER_TYPE(handler.value)
        return 5

    def SetServiceStatus(self, handle: int, pointer: Any) -> int:  # noqa: N802
        status = pointer._obj
        self.states.append((status.current_state, status.controls_accepted, status.exit_code))
        if status.current_state == scm.RUNNING:
            self.running.set()
        return 1


class _Kernel32WithError:
    def __init__(self, error: int) -> None:
        self._error = error

    def GetLastError(self) -> int:  # noqa: N802
        return self._error


def test_service_says_its_states_and_stops_when_it_is_told_to() -> None:
    advapi32, stopping = FakeScm(), threading.Event()

    def serve(is_up: Callable[[], None]) -> None:
        is_up()
        assert stopping.wait(60)

    service = scm.WindowsService(advapi32, _Kernel32WithError(0), "gatelink-lm", serve, stopping.set)
    done: list[bool] = []
    dispatching = threading.Thread(target=lambda: done.append(service.dispatch()))
    dispatching.start()
    assert advapi32.running.wait(60)
    assert advapi32.handler(scm.CONTROL_INTERROGATE, 0, None, None) == 0
    assert advapi32.handler(99, 0, None, None) == scm.ERROR_CALL_NOT_IMPLEMENTED
    assert advapi32.handler(scm.CONTROL_STOP, 0, None, None) == 0
    dispatching.join(60)
    assert done == [True]
    assert service.failure is None
    assert advapi32.states == [(2, 0, 0), (4, 5, 0), (3, 0, 0), (1, 0, 0)]


def test_service_that_cannot_serve_stops_with_an_error() -> None:
    def serve(_is_up: Callable[[], None]) -> None:
        raise HostError("no adapter")

    advapi32 = FakeScm()
    service = scm.WindowsService(advapi32, _Kernel32WithError(0), "gatelink-lm", serve, lambda: None)
    assert service.dispatch()
    assert str(service.failure) == "no adapter"
    assert advapi32.states == [(2, 0, 0), (1, 0, scm.ERROR_SERVICE_SPECIFIC_ERROR)]


@pytest.mark.parametrize(("error", "typed"), [(scm.ERROR_NOT_STARTED_BY_SCM, True), (5, False)])
def test_service_knows_that_a_person_started_it(error: int, typed: bool) -> None:
    service = scm.WindowsService(
        FakeScm(by_hand=True), _Kernel32WithError(error), "gatelink-lm", lambda _is_up: None, lambda: None
    )
    if typed:
        assert not service.dispatch()
    else:
        with pytest.raises(HostError, match="does not take the service gatelink-lm: error 5"):
            service.dispatch()


def test_pipe_has_the_name_that_was_given_or_one_of_its_own() -> None:
    assert pipe.pipe_name(PureWindowsPath(r"\\.\pipe\gatelink-lm")) == r"\\.\pipe\gatelink-lm"
    anna = pipe.pipe_name(PureWindowsPath(r"C:\Users\anna\AppData\Local\gatelink-lm\agent.sock"))
    bert = pipe.pipe_name(PureWindowsPath(r"C:\Users\bert\AppData\Local\gatelink-lm\agent.sock"))
    assert anna != bert
    assert anna == pipe.pipe_name(PureWindowsPath(r"c:\users\ANNA\AppData\Local\gatelink-lm\agent.sock"))
    assert anna.startswith("\\\\.\\pipe\\gatelink-lm-")


def test_pipe_lets_the_network_out_and_nobody_make_another() -> None:
    assert pipe.FOR_EVERYBODY == "D:P(D;;GA;;;NU)(A;;GA;;;SY)(A;;GA;;;BA)(A;;0x120183;;;IU)"
    assert pipe.FOR_OWNER == "D:P(D;;GA;;;NU)(A;;GA;;;SY)(A;;GA;;;OW)"


def test_every_function_that_is_called_has_its_prototype() -> None:
    package = Path(pipe.__file__).parents[1]
    files = [*(package / "host/windows").glob("*.py"), package / "streams/pipe.py"]
    text = "".join(path.read_text(encoding="utf-8") for path in files)
    called = set(re.findall(r"(?:kernel32|advapi32|dll|load\(\"kernel32\"\))\.([A-Z]\w+)\b", text))
    assert called == {name for functions in dlls.PROTOTYPES.values() for name in functions}


def test_who_may_have_tunnels_on_windows_is_said_by_sid() -> None:
    anna = "S-1-5-21-1-2-3-1001"
    assert WindowsCallers().may(anna)
    assert WindowsCallers([anna]).may(anna)
    assert WindowsCallers([anna]).may("S-1-5-18")
    assert not WindowsCallers([anna]).may("S-1-5-21-1-2-3-1002")
    assert "--allow-sid" in WindowsCallers([anna]).advice("S-1-5-21-1-2-3-1002")

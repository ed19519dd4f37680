"""The service on Windows: what it says to the service control manager, its pipe's name and rights, who may use it."""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import re
import threading
from collections.abc import Callable
from pathlib import Path, PureWindowsPath
from typing import Any

import pytest

from lm_client.agent import network_watch
from lm_client.agent.network_watch import NetworkWatch
from lm_client.exceptions import HostError
from lm_client.host.windows import dlls, scm
from lm_client.host.windows.address_news import AddressNews
from lm_client.host.windows.callers import WindowsCallers
from lm_client.host.windows.proxy_settings import parse_servers, read_proxy_settings
from lm_client.host.windows.service import with_log
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


class _Addresses:
    """iphlpapi as far as news of addresses go: calls back from a thread of its own, as Windows does."""

    def __init__(self, error: int = 0) -> None:
        self._error = error
        self.callback = 0
        self.cancelled: list[int | None] = []

    def NotifyUnicastIpAddressChange(self, *arguments: Any) -> int:  # noqa: N802
        family, place, context, initial, handle = arguments
        assert (family, context, initial) == (0, None, 0)
        self.callback = place.value
        ctypes.cast(handle, ctypes.POINTER(ctypes.c_void_p))[0] = 77
        return self._error

    def CancelMibChangeNotify2(self, handle: ctypes.c_void_p) -> int:  # noqa: N802
        self.cancelled.append(handle.value)
        return 0

    def change(self) -> None:
        call = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int32)(self.callback)
        thread = threading.Thread(target=call, args=(None, None, 0))
        thread.start()
        thread.join()


def test_changed_addresses_are_told_by_windows_until_nobody_wants_to_know() -> None:
    dll = _Addresses()
    told: list[str] = []
    news = AddressNews(dll, lambda: told.append(threading.current_thread().name))
    dll.change()
    dll.change()
    assert len(told) == 2
    assert threading.current_thread().name not in told
    news.close()
    news.close()
    assert dll.cancelled == [77]
    with pytest.raises(HostError, match="error 50"):
        AddressNews(_Addresses(50), lambda: None)


def test_lines_of_a_lost_address_are_given_up_when_windows_tells(monkeypatch: pytest.MonkeyPatch) -> None:
    dll = _Addresses()
    monkeypatch.setattr(network_watch, "watch_addresses", lambda tell: AddressNews(dll, tell))

    async def run() -> None:
        given_up: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        watch = NetworkWatch(lambda: [("192.0.2.1", given_up.set_result)], lambda _text: None)
        watch.start()
        await asyncio.to_thread(dll.change)
        async with asyncio.timeout(60):
            assert await given_up == "this PC's address 192.0.2.1 is gone"
        watch.close()
        assert dll.cancelled == [77]
        dll.change()  # it was under way while it was called off

    asyncio.run(run())


@pytest.mark.parametrize(
    ("text", "servers"),
    [
        ("proxy.example.com:3128", (("proxy.example.com", 3128),)),
        ("http://proxy.example.com:8080/", (("proxy.example.com", 8080),)),
        ("proxy", (("proxy", 80),)),
        ("http=a:1;https=b:2;ftp=c:3;socks=d:4", (("b", 2), ("a", 1))),
        ("https=b:2;http=b:2", (("b", 2),)),
        ("socks=d:4", ()),
        ("a:x;:5;=", ()),
        ("", ()),
    ],
)
def test_proxies_of_windows_settings_are_read(text: str, servers: tuple[tuple[str, int], ...]) -> None:
    assert parse_servers(text) == servers


class _Winreg:
    """The module ``winreg`` over two tables."""

    HKEY_LOCAL_MACHINE, HKEY_CURRENT_USER = "pc", "user"

    def __init__(self, keys: dict[tuple[str, str], dict[str, object]]) -> None:
        self._keys = keys

    def OpenKey(self, root: str, key: str) -> contextlib.AbstractContextManager[dict[str, object]]:  # noqa: N802
        if (root, key) not in self._keys:
            raise FileNotFoundError
        return contextlib.nullcontext(self._keys[root, key])

    def QueryInfoKey(self, opened: dict[str, object]) -> tuple[int, int, int]:  # noqa: N802
        return 0, len(opened), 0

    def EnumValue(self, opened: dict[str, object], index: int) -> tuple[str, object, int]:  # noqa: N802
        return *list(opened.items())[index], 1


def test_proxy_is_the_users_unless_it_is_set_for_the_whole_pc() -> None:
    settings = r"Software\Microsoft\Windows\CurrentVersion\Internet Settings"
    policy = r"Software\Policies\Microsoft\Windows\CurrentVersion\Internet Settings"
    user = {"ProxyEnable": 1, "ProxyServer": "mine:1", "AutoConfigURL": "http://wpad/wpad.dat"}
    keys: dict[tuple[str, str], dict[str, object]] = {("user", settings): dict(user)}
    assert read_proxy_settings(_Winreg(keys)) == ((("mine", 1),), "http://wpad/wpad.dat")
    keys["user", settings]["ProxyEnable"] = 0
    assert read_proxy_settings(_Winreg(keys)) == ((), "http://wpad/wpad.dat")
    keys["pc", policy] = {"ProxySettingsPerUser": 0}
    assert read_proxy_settings(_Winreg(keys)) == ((), "")
    keys["pc", settings] = {"ProxyEnable": 1, "ProxyServer": "firm:2"}
    assert read_proxy_settings(_Winreg(keys)) == ((("firm", 2),), "")


def test_service_says_everything_in_a_file_beside_the_program(tmp_path: Path) -> None:
    said: list[str] = []
    say = with_log(tmp_path / "lm.exe", said.append)
    say("uid S-1-5 connected")
    say("two\nlines")
    assert said == ["uid S-1-5 connected", "two\nlines"]
    lines = (tmp_path / "service.log").read_text(encoding="utf-8").splitlines()
    assert [line.partition(" ")[2] for line in lines] == ["uid S-1-5 connected", "two lines"]
    with_log(tmp_path / "absent" / "lm.exe", said.append)("goes on")
    assert said[2:] == ["no log: No such file or directory", "goes on"]

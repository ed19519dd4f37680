"""A machine's serial port as a pty: bytes both ways, the line's settings, a name; with pyserial at both ends."""

from __future__ import annotations

import contextlib
import os
import pty
import select
import socket
import termios
import threading
import time
import tty
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import serial
from serial import rfc2217

from gatelink.messages import LineSettings, Service
from lm_client.agent.com_bridge import ComBridge
from lm_client.agent.pty_bridge import PtyBridge, read_line
from lm_client.agent.serial_line import Line
from lm_client.agent.serial_ports import url_of
from lm_client.host.windows import com0com

# pyserial's RFC 2217 client starts its threads as it was done before Python 3.10.
pytestmark = pytest.mark.filterwarnings("ignore:set(Daemon|Name)\\(\\) is deprecated:DeprecationWarning")
DEADLINE_S = 60.0
LINE = LineSettings(9600, 7, "E", 1)
"""As the administrator set it."""


class PtyLine(serial.Serial):  # type: ignore[misc]
    """A pty has no modem lines, and neither parity nor seven bits."""

    bytesize = 8
    """What is set is remembered, and not asked of the kernel."""
    parity = "N"

    def _reconfigure_port(self, force_update: bool = False) -> None:
        self._bytesize, self._parity = 8, "N"
        super()._reconfigure_port(force_update)

    def _update_dtr_state(self) -> None:
        pass

    def _update_rts_state(self) -> None:
        pass


class SmPort:
    """What a SiteManager has: a serial line (a pty here), served by RFC 2217 to one PC at a time."""

    def __init__(self) -> None:
        self.machine, slave = pty.openpty()
        """The machine's end of the line."""
        tty.setraw(slave)
        self.line = PtyLine(os.ttyname(slave), 9600, timeout=0.02)
        os.close(slave)
        self._server = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._server.getsockname()[1])
        self.url = f"rfc2217://127.0.0.1:{self.port}?timeout={DEADLINE_S:.0f}"
        self.served = 0
        self.is_serving = False
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    @property
    def settings(self) -> tuple[int, int, str, float]:
        """Of the line: speed, data bits, parity, stop bits."""
        return self.line.baudrate, self.line.bytesize, self.line.parity, self.line.stopbits

    def close(self) -> None:
        """End it."""
        self._server.shutdown(socket.SHUT_RDWR)
        self._server.close()
        self._thread.join(DEADLINE_S)
        self.line.close()
        os.close(self.machine)

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._server.accept()
            except OSError:
                return
            self.served += 1
            self.is_serving = True
            with connection, contextlib.suppress(OSError, TypeError):  # closed under our hands
                self._carry(connection)
            self.is_serving = False

    def _carry(self, connection: socket.socket) -> None:
        class Writer:
            def write(self, data: bytes) -> None:
                connection.sendall(data)

        manager: Any = rfc2217.PortManager(self.line, Writer())
        manager.check_modem_lines = lambda force_notification=False: None  # a pty has none
        while True:
            ready, _, _ = select.select([connection], [], [], 0.01)
            if ready:
                data = connection.recv(1024)
                if not data:
                    return
                self.line.write(b"".join(manager.filter(data)))
            if waiting := self.line.in_waiting:
                connection.sendall(b"".join(manager.escape(self.line.read(waiting))))


@pytest.fixture
def sm() -> Iterator[SmPort]:
    found = SmPort()
    try:
        yield found
    finally:
        found.close()


@pytest.fixture
def bridge(sm: SmPort, tmp_path: Path) -> Iterator[PtyBridge]:
    found = PtyBridge(tmp_path / "tty" / "drive.press.acme", sm.url, LINE, print)
    found.start()
    try:
        yield found
    finally:
        found.close()
        assert not found.link.is_symlink()


def _until(seen: Callable[[], bool], what: str) -> None:
    end = time.monotonic() + DEADLINE_S
    while not seen():
        assert time.monotonic() < end, f"waited in vain for {what}"
        time.sleep(0.01)


def _read(descriptor: int, count: int) -> bytes:
    data = b""
    while len(data) < count:
        ready, _, _ = select.select([descriptor], [], [], DEADLINE_S)
        assert ready, f"got only {data!r}"
        data += os.read(descriptor, count - len(data))
    return data


def test_application_speaks_with_the_machine_at_its_settings(sm: SmPort, bridge: PtyBridge) -> None:
    assert sm.served == 0
    with serial.Serial(str(bridge.link), 19200, stopbits=2, timeout=DEADLINE_S) as app:
        app.write(b"\xff\x00hello\r\n\x11\x13")
        assert _read(sm.machine, 11) == b"\xff\x00hello\r\n\x11\x13"
        os.write(sm.machine, b"\x03answer\xff\xff\r")
        assert app.read(10) == b"\x03answer\xff\xff\r"
        _until(lambda: sm.settings == (19200, 7, "E", 2), "the settings")
        app.baudrate = 57600
        app.stopbits = 1
        _until(lambda: (sm.line.baudrate, sm.line.stopbits) == (57600, 1), "the other settings")
        app.parity = "O"
        _until(lambda: sm.line.parity == "O", "odd parity, of which Linux leaves a trace")
        app.parity = "N"
        _until(lambda: sm.line.parity == "E", "the administrator's parity")
        app.baudrate = 1200
        _until(lambda: sm.line.baudrate == 1200, "and again others")
    assert read_line(bridge._master) == Line(1200, 1)


def test_application_that_sets_nothing_finds_the_line_as_the_administrator_set_it(tmp_path: Path) -> None:
    bridge = PtyBridge(tmp_path / "drive", "socket://127.0.0.1:1", LineSettings(19200, 8, "N", 2), print)
    try:
        descriptor = os.open(bridge.link, os.O_RDWR | os.O_NOCTTY)
        assert read_line(descriptor) == Line(19200, 2)
        os.close(descriptor)
    finally:
        bridge.close()


def test_line_is_free_for_others_when_the_application_closed_it(sm: SmPort, bridge: PtyBridge) -> None:
    for number in (1, 2):
        # The same parity each time: there is nothing else for the second one to change, and it has to be let.
        with serial.Serial(str(bridge.link), 9600, parity="E", timeout=DEADLINE_S) as app:
            app.write(b"ping")
            assert _read(sm.machine, 4) == b"ping"
            os.write(sm.machine, b"pong")
            assert app.read(4) == b"pong"
            assert sm.served == number
        _until(lambda: not sm.is_serving, "the line to be free")
        _until(lambda: bool(termios.tcgetattr(bridge._master)[3] & termios.IEXTEN), "the pty to be as new")


def test_application_goes_on_when_the_machine_speaks_while_nobody_listens(sm: SmPort, bridge: PtyBridge) -> None:
    os.write(sm.machine, b"nobody hears this")
    with serial.Serial(str(bridge.link), 9600, timeout=DEADLINE_S) as app:
        app.write(b"x")
        assert _read(sm.machine, 1) == b"x"


def test_line_is_found_among_the_granted_services() -> None:
    raw, rfc, modbus = (
        Service("raw", "tcp", 2001, 2001),
        Service("rfc2217", "tcp", 2217, 2217),
        Service("modbus", "tcp", 502, 502),
    )
    assert url_of((raw, rfc, modbus), "100.96.0.1") == "rfc2217://100.96.0.1:2217?timeout=5"
    assert url_of((modbus, raw), "100.96.0.1") == "socket://100.96.0.1:2001"
    assert url_of((modbus,), "100.96.0.1") == ""


class PairEnd(PtyLine):
    """The bridge's end of a com0com pair: a pty whose other end says by hand whether it is open, and how it is set."""

    dsr = False
    set_by_application: Line | None = Line(9600, 1, 8, "N")


def test_application_at_a_com0com_pair_speaks_with_the_machine_at_its_settings(sm: SmPort) -> None:
    application, slave = pty.openpty()
    tty.setraw(slave)
    near = PairEnd(os.ttyname(slave), 9600)
    os.close(slave)
    notes: list[str] = []
    bridge = ComBridge(
        "CNCB0", sm.url, LineSettings(9600), notes.append, lambda _port: near, lambda port: port.set_by_application
    )
    bridge.start()
    try:
        for number in (1, 2):
            near.set_by_application = Line(19200, 2, 7, "E")
            near.dsr = True
            _until(lambda: sm.is_serving, "the line")
            os.write(application, b"\xff\x00hello")
            assert _read(sm.machine, 7) == b"\xff\x00hello"
            os.write(sm.machine, b"\x03answer\xff")
            assert _read(application, 8) == b"\x03answer\xff"
            _until(lambda: sm.settings == (19200, 7, "E", 2), "the settings")
            near.set_by_application = Line(57600, 1, 8, "N")
            _until(lambda: (sm.line.baudrate, sm.line.parity) == (57600, "N"), "the other settings")
            near.dsr = False
            _until(lambda number=number: len(notes) == 2 * number, "the bridge to let go")  # type: ignore[misc]
            _until(lambda: not sm.is_serving, "the line to be free")
            assert sm.served == number
        assert notes == ["CNCB0: open", "CNCB0: closed"] * 2
    finally:
        bridge.close()
        os.close(application)


def test_settings_are_read_as_com0com_tells_them() -> None:
    assert com0com.REQUEST == b"\0c0c\0\x00\x03\x00\x01"
    answer = b"\0\x10" + (19200).to_bytes(4, "little") + b"\0\x11" + bytes([7, 2, 2])
    assert com0com.decode(answer) == Line(19200, 2, 7, "E")
    for other in (b"", answer[:-1], b"\0\x01" + answer[2:], answer[:-1] + b"\3"):
        assert com0com.decode(other) is None

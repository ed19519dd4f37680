"""A serial port of a machine at a com0com pair (Windows): the application has one end of it, the bridge the other.

com0com is a driver that the user installs; he makes a pair (``COM11`` and ``CNCB0``, for instance), and the settings
say which end is for which serial port (``com_pairs``). As usual with com0com, DTR of the application is DSR here: so it
is seen that it has the port open. How it set its line is asked of the driver (``host.windows.com0com``).
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from gatelink.messages import LineSettings

from .serial_line import AGAIN_S, CONNECT_TIMEOUT_S, OPEN_POLL_S, Line, set_line

_READ_BYTES: Final = 4096
_WRITE_TIMEOUT_S: Final = 1.0
OpenPort = Callable[[str], Any]
"""Opens the bridge's end of the pair; the result is as pyserial's ``Serial``."""
ReadLine = Callable[[Any], "Line | None"]
"""Says how the application set its end; None where the driver does not."""


class ComBridge:
    """Lives from ``start`` to ``close``; ``link`` is the name of the pair's end that the bridge has."""

    def __init__(
        self,
        port: str,
        url: str,
        settings: LineSettings,
        note: Callable[[str], None],
        open_port: OpenPort,
        read_line: ReadLine,
    ) -> None:
        """``settings`` are the line's where the driver does not say them."""
        self.link = Path(port)
        self._url = url
        self._settings = settings
        self._note = note
        self._read_line = read_line
        self._stop = threading.Event()
        self._near = open_port(port)
        self._near.timeout, self._near.write_timeout = OPEN_POLL_S, _WRITE_TIMEOUT_S
        self._thread = threading.Thread(target=self._run, name=f"serial {port}", daemon=True)

    def start(self) -> None:
        """Wait for an application, in a thread."""
        self._thread.start()

    def close(self) -> None:
        """Let go of the pair."""
        self._stop.set()
        if self._thread.ident is not None:
            self._thread.join(CONNECT_TIMEOUT_S)
        self._near.close()

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                if self._near.dsr:
                    self._serve()
                else:
                    self._near.reset_input_buffer()
                    self._stop.wait(OPEN_POLL_S)
            except (OSError, ValueError) as error:  # pyserial's errors are OSErrors, what it refuses to set ValueErrors
                self._note(f"{self.link}: {error}")
                self._stop.wait(AGAIN_S)

    def _serve(self) -> None:
        """Carry bytes until the application closes its end or the line breaks."""
        import serial  # 40 ms that only those wait for who have serial ports

        remote = serial.serial_for_url(self._url, do_not_open=True, timeout=OPEN_POLL_S)
        remote.bytesize, remote.parity = self._settings.data_bits, self._settings.parity
        line = self._read_line(self._near)
        if line is not None:
            set_line(remote, line)
        remote.open()
        gone = threading.Event()
        reading = threading.Thread(target=self._from_machine, args=(remote, gone), daemon=True)
        try:
            self._note(f"{self.link}: open")
            reading.start()
            while self._near.dsr and not (gone.is_set() or self._stop.is_set()):
                if data := self._near.read(1):
                    remote.write(data + self._near.read(min(_READ_BYTES, self._near.in_waiting)))
                fresh = self._read_line(self._near)
                if fresh is not None and fresh != line:
                    line = fresh
                    set_line(remote, line)
        finally:
            gone.set()
            with contextlib.suppress(OSError):
                remote.close()
            reading.join(CONNECT_TIMEOUT_S)
            self._note(f"{self.link}: closed")

    def _from_machine(self, remote: Any, gone: threading.Event) -> None:
        try:
            while not gone.is_set():
                if data := remote.read(1):
                    self._near.write(data + remote.read(min(_READ_BYTES, remote.in_waiting)))
        except (OSError, TypeError, ValueError):  # TypeError: pyserial, closed under its reader
            pass
        finally:
            gone.set()

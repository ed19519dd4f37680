"""A serial port of a machine as a pty: what an application opens, sets and writes here happens at the machine.

The line at the far end is opened while an application has the pty open, by RFC 2217 where the device has that service
(speed and stop bits are passed on as the application sets them), else as raw bytes.

Linux keeps every pty at eight bits without parity, whatever an application sets (``pty_set_termios``), and without
modem lines. Of parity it leaves one trace, by which odd is known; data bits and even parity come from the
administrator's settings of the line, or the LinkManager's own. DTR and RTS stay as the SiteManager has them.
"""

from __future__ import annotations

import contextlib
import os
import pty
import select
import termios
import threading
import tty
from collections.abc import Callable
from fcntl import ioctl
from pathlib import Path
from struct import pack
from typing import Any, Final

from gatelink.messages import LineSettings

from .serial_line import AGAIN_S, CONNECT_TIMEOUT_S, OPEN_POLL_S, Line, set_line

_READ_BYTES: Final = 4096
# <asm-generic/ioctls.h>, <asm-generic/termbits.h>
_TIOCPKT: Final = 0x5420
_TIOCPKT_DATA, _TIOCPKT_IOCTL = 0, 0x40
_TWO: Final = 2
_EXTPROC: Final = 0o200000
_BAUD: Final = {
    getattr(termios, f"B{speed}"): speed
    for speed in (300, 600, 1200, 2400, 4800, 9600, 19200, 38400, 57600, 115200, 230400, 460800, 500000, 921600)
    if hasattr(termios, f"B{speed}")
}


class PtyBridge:
    """Lives from ``start`` to ``close``; ``link`` is the name that stays, a symbolic link to the pty."""

    def __init__(self, link: Path, url: str, settings: LineSettings, note: Callable[[str], None]) -> None:
        """``settings`` are the line's until an application sets others."""
        self.link = link
        self._settings = settings
        self._url = url
        self._note = note
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"serial {link.name}", daemon=True)
        self._master, slave = pty.openpty()
        try:
            tty.setraw(slave)
            prepare(slave, settings)
            link.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            with contextlib.suppress(FileNotFoundError):
                link.unlink()
            link.symlink_to(os.ttyname(slave))
        finally:
            os.close(slave)  # from here on the master says whether anybody has it open
        ioctl(self._master, _TIOCPKT, pack("i", 1))

    def start(self) -> None:
        """Wait for an application, in a thread."""
        self._thread.start()

    def close(self) -> None:
        """Remove the name; an application that has it open reads its end."""
        self._stop.set()
        with contextlib.suppress(OSError):
            self.link.unlink()
        if self._thread.ident is not None:
            self._thread.join(CONNECT_TIMEOUT_S)
        os.close(self._master)

    def _run(self) -> None:
        while not self._stop.is_set():
            if not self._is_open():
                self._stop.wait(OPEN_POLL_S)
                continue
            try:
                self._serve()
            except (OSError, ValueError) as error:  # pyserial's errors are OSErrors, what it refuses to set ValueErrors
                self._note(f"{self.link.name}: {error}")
                self._stop.wait(AGAIN_S)

    def _is_open(self) -> bool:
        poll = select.poll()
        poll.register(self._master, 0)
        return not any(event & select.POLLHUP for _, event in poll.poll(0))

    def _serve(self) -> None:
        """Carry bytes until the application closes the pty or the line breaks."""
        import serial  # 40 ms that only those wait for who have serial ports

        remote = serial.serial_for_url(self._url, do_not_open=True, timeout=OPEN_POLL_S)
        line = read_line(self._master)
        remote.bytesize = self._settings.data_bits
        set_line(remote, self._whole(line))
        remote.open()
        gone = threading.Event()
        reading = threading.Thread(target=self._from_machine, args=(remote, gone), daemon=True)
        try:
            self._note(f"{self.link.name}: open")
            reading.start()
            self._want_news()
            poll = select.poll()
            poll.register(self._master, select.POLLIN)
            while not (gone.is_set() or self._stop.is_set()):
                for _, event in poll.poll(OPEN_POLL_S * 1000):
                    if not event & select.POLLIN:
                        return  # POLLHUP alone: the application closed it
                    data = os.read(self._master, _READ_BYTES)
                    if data[0] == _TIOCPKT_DATA:
                        remote.write(data[1:])
                    if data[0] & _TIOCPKT_IOCTL and (fresh := read_line(self._master)) != line:
                        line = fresh
                        set_line(remote, self._whole(line))
                    if data[0] & _TIOCPKT_IOCTL:
                        self._want_news()
        except OSError as error:
            if self._is_open():
                raise
            del error  # EIO: closed while we read
        finally:
            gone.set()
            if not self._is_open():
                prepare(self._master, self._settings)  # at once: the next application must not find us at it
            with contextlib.suppress(OSError):
                remote.close()
            reading.join(CONNECT_TIMEOUT_S)
            self._note(f"{self.link.name}: closed")

    def _from_machine(self, remote: Any, gone: threading.Event) -> None:
        try:
            while not gone.is_set():
                data = remote.read(1)
                if data:
                    data += remote.read(min(_READ_BYTES, remote.in_waiting))
                    view = memoryview(data)
                    while view:
                        view = view[os.write(self._master, view) :]
        except (OSError, TypeError, ValueError):  # TypeError: pyserial, closed under its reader
            pass
        finally:
            gone.set()

    def _want_news(self) -> None:
        """Be told of the next change of the line's settings: an application that sets all flags switches it off."""
        settings = termios.tcgetattr(self._master)
        if not settings[3] & _EXTPROC:
            settings[3] |= _EXTPROC
            termios.tcsetattr(self._master, termios.TCSANOW, settings)

    def _whole(self, line: Line) -> Line:
        """What an application cannot say is as the administrator did."""
        return line._replace(parity=line.parity or self._settings.parity)


def read_line(descriptor: int) -> Line:
    """Return how the pty is set (the master answers for it)."""
    _, _, control, _, _, speed, _ = termios.tcgetattr(descriptor)
    parity = "O" if control & termios.PARODD else ""
    return Line(_BAUD.get(speed, 0), 2 if control & termios.CSTOPB else 1, parity=parity)


def prepare(descriptor: int, settings: LineSettings) -> None:
    """Let applications that set nothing find the line as it is at the machine.

    The C library refuses (EINVAL) to set a pty if nothing is changed by that but what a pty cannot have: an application
    that wants even parity each time it opens the line would be refused the second time. So something is left for it to
    change that means nothing on a raw line: ``IEXTEN``. ``EXTPROC``: whatever it sets, the master is told.
    """
    wanted = termios.tcgetattr(descriptor)
    wanted[3] |= termios.IEXTEN | _EXTPROC
    speed = {baud: name for name, baud in _BAUD.items()}.get(settings.baud, wanted[4])
    wanted[4] = wanted[5] = speed
    wanted[2] &= ~(termios.CSTOPB | termios.PARODD)
    if settings.stop_bits == _TWO:
        wanted[2] |= termios.CSTOPB
    termios.tcsetattr(descriptor, termios.TCSANOW, wanted)

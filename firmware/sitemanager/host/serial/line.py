"""One open serial port in the event loop. An adapter that is pulled out ends it: ``on_lost`` is called once."""

from __future__ import annotations

import asyncio
import contextlib
import os
import termios
from collections.abc import Callable
from typing import Any, Final

import serial
from serial.rs485 import RS485Settings

from sitemanager.core.serial_settings import SerialConfig
from sitemanager.exceptions import NetworkError

_READ_BYTES: Final = 4096
_PTYS: Final = "/dev/pts/"
_PARITY: Final = {"none": serial.PARITY_NONE, "even": serial.PARITY_EVEN, "odd": serial.PARITY_ODD}


class _Port(serial.Serial):  # type: ignore[misc]
    """pyserial's, where a port without modem lines (a pty, an RS-485 chip) has none instead of an error."""

    cts = property(lambda self: _modem_line(self, "cts"))
    dsr = property(lambda self: _modem_line(self, "dsr"))
    ri = property(lambda self: _modem_line(self, "ri"))
    cd = property(lambda self: _modem_line(self, "cd"))

    def _update_dtr_state(self) -> None:
        with contextlib.suppress(OSError):
            super()._update_dtr_state()

    def _update_rts_state(self) -> None:
        with contextlib.suppress(OSError):
            super()._update_rts_state()

    def _reconfigure_port(self, force_update: bool = False) -> None:
        try:
            super()._reconfigure_port(force_update)
        except termios.error as error:
            if os.ttyname(self.fd).startswith(_PTYS):
                return  # it has neither parity nor seven bits, and carries every byte all the same
            # What pyserial makes of every other impossible setting; its RFC 2217 part expects that.
            raise ValueError(f"the port cannot be set so: {error.args[-1]}") from None


def _modem_line(port: Any, name: str) -> bool:
    try:
        return bool(getattr(serial.Serial, name).fget(port))
    except OSError:
        return False


class SerialLine:
    """``on_bytes`` gets what the line says. Raises NetworkError if the port cannot be opened with these settings."""

    def __init__(
        self, path: str, config: SerialConfig, on_bytes: Callable[[bytes], None], on_lost: Callable[[str], None]
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._on_bytes = on_bytes
        self._on_lost = on_lost
        self._config = config
        self._writing: asyncio.Future[None] | None = None
        self._paused = True
        self._turn = asyncio.Lock()
        try:
            self.port = _Port(path, config.baud, timeout=0, exclusive=True)
            try:
                self.settle()
            except BaseException:
                self.port.close()
                raise
        except (serial.SerialException, OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or error
            raise NetworkError(f"cannot use the serial port {path}: {reason}") from None
        self._descriptor = self.port.fileno()
        self.resume()

    def settle(self) -> None:
        """Use the settings of the configuration (again): whoever had the port may have chosen others."""
        config = self._config
        self.port.apply_settings(
            {
                "baudrate": config.baud,
                "bytesize": config.data_bits,
                "parity": _PARITY[config.parity],
                "stopbits": config.stop_bits,
                "xonxoff": False,
                "rtscts": False,
                "dsrdtr": False,
            }
        )
        if config.rs485 != "off":
            high = config.rs485 == "rts-high"
            self.port.rs485_mode = RS485Settings(rts_level_for_tx=high, rts_level_for_rx=not high)

    @property
    def settings_text(self) -> str:
        """How it is set just now, ``19200 8E1``."""
        port = self.port
        return f"{port.baudrate} {port.bytesize}{port.parity}{port.stopbits:g}"

    @property
    def is_open(self) -> bool:
        """Whether it can be used."""
        return bool(self.port.is_open)

    def pause(self) -> None:
        """Leave what comes in the kernel's buffer for now."""
        if not self._paused and self.is_open:
            self._loop.remove_reader(self._descriptor)
        self._paused = True

    def resume(self) -> None:
        """Take what comes."""
        if self._paused and self.is_open:
            self._loop.add_reader(self._descriptor, self._on_readable)
        self._paused = False

    async def write(self, data: bytes) -> None:
        """Send all of it; returns when the kernel has it. Raises ConnectionError when the port is gone."""
        async with self._turn:
            while data:
                if not self.is_open:
                    raise ConnectionError("the serial port is gone")
                try:
                    data = data[os.write(self._descriptor, data) :]
                except BlockingIOError:
                    await self._writable()
                except OSError as error:
                    self._lose(error.strerror or "error")

    def close(self) -> None:
        """Close it; ``on_lost`` is not called."""
        if not self.is_open:
            return
        self.pause()
        if self._writing is not None:
            self._loop.remove_writer(self._descriptor)
            self._writing.cancel()
        self.port.close()

    async def _writable(self) -> None:
        self._writing = self._loop.create_future()
        self._loop.add_writer(self._descriptor, self._free)
        try:
            await self._writing
        finally:
            if self.is_open:
                self._loop.remove_writer(self._descriptor)
            self._writing = None

    def _free(self) -> None:
        if self._writing is not None and not self._writing.done():
            self._writing.set_result(None)

    def _on_readable(self) -> None:
        try:
            data = os.read(self._descriptor, _READ_BYTES)
        except BlockingIOError:
            return
        except OSError as error:
            self._lose(error.strerror or "error")
            return
        if data:
            self._on_bytes(data)
        else:
            self._lose("it was pulled out")

    def _lose(self, why: str) -> None:
        if self.is_open:
            self.close()
            self._on_lost(why)

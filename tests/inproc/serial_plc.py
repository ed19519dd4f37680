"""A serial PLC on a pty: pymodbus' own server, and the far end of a raw line."""

from __future__ import annotations

import asyncio
import os
import pty
import termios
import tty
from pathlib import Path
from typing import Any

from pymodbus.datastore import ModbusDeviceContext, ModbusSequentialDataBlock, ModbusServerContext
from pymodbus.framer import FramerType
from pymodbus.server import ModbusSerialServer


class PtyPair:
    """Two ends of a cable, each with a path, joined by us: what one says the other hears."""

    def __init__(self, directory: Path, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._masters: list[int] = []
        self._slaves: list[int] = []
        self.paths: list[str] = []
        self.heard = bytearray()
        """Everything that went to the PLC's end."""
        for _ in ("sm", "plc"):
            master, slave = pty.openpty()
            tty.setraw(slave)
            os.set_blocking(master, False)
            self._masters.append(master)
            self._slaves.append(slave)
            self.paths.append(os.ttyname(slave))
        del directory
        loop.add_reader(self._masters[0], self._carry, 0, 1)
        loop.add_reader(self._masters[1], self._carry, 1, 0)

    @property
    def sm_path(self) -> str:
        """What the SiteManager opens."""
        return self.paths[0]

    @property
    def plc_path(self) -> str:
        """What the PLC opens."""
        return self.paths[1]

    @property
    def speed(self) -> int:
        """How fast the SiteManager's end is set (``termios.B...``)."""
        return int(termios.tcgetattr(self._slaves[0])[4])

    def _carry(self, source: int, target: int) -> None:
        try:
            data = os.read(self._masters[source], 4096)
        except OSError:
            return
        if target == 1:
            self.heard += data
        os.write(self._masters[target], data)

    def close(self) -> None:
        """Pull the cable."""
        for master in self._masters:
            self._loop.remove_reader(master)
        for descriptor in (*self._masters, *self._slaves):
            os.close(descriptor)


async def modbus_plc(path: str, framing: str = "rtu", units: tuple[int, ...] = (7,)) -> Any:
    """A PLC (or several on one line) whose registers hold 100 and up; stop it with ``await plc.shutdown()``."""
    devices = {unit: ModbusDeviceContext(hr=ModbusSequentialDataBlock(1, list(range(100, 150)))) for unit in units}
    framer = FramerType.RTU if framing == "rtu" else FramerType.ASCII
    context = ModbusServerContext(devices, single=False)
    server = ModbusSerialServer(context, framer=framer, port=path, baudrate=19200, ignore_missing_devices=True)
    await server.serve_forever(background=True)
    return server

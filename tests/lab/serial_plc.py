"""Program: what is on a serial line, on a pty: a Modbus RTU PLC, or one that talks by itself.

Usage: python -m lab.serial_plc modbus|talker

`modbus`: unit 7, registers 0 and up hold 100 and up. `talker`: says a numbered line every 20 ms for ever; what it hears
it prints ("heard ..."). Says "serial line at PATH" when somebody can open it.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import pty
import sys
import tty

from pymodbus.datastore import ModbusDeviceContext, ModbusSequentialDataBlock, ModbusServerContext
from pymodbus.framer import FramerType
from pymodbus.server import ModbusSerialServer

_PERIOD_S = 0.02


def _pair() -> tuple[int, str]:
    master, slave = pty.openpty()
    tty.setraw(slave)
    os.set_blocking(master, False)
    return master, os.ttyname(slave)


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


async def modbus() -> None:
    """A PLC at the far end of a cable between two ptys."""
    loop = asyncio.get_running_loop()
    near, path = _pair()
    far, far_path = _pair()
    for source, target in ((near, far), (far, near)):
        loop.add_reader(source, lambda source=source, target=target: os.write(target, os.read(source, 4096)))  # type: ignore[misc]
    registers = ModbusDeviceContext(hr=ModbusSequentialDataBlock(1, list(range(100, 200))))
    context = ModbusServerContext({7: registers}, single=False)
    server = ModbusSerialServer(context, framer=FramerType.RTU, port=far_path, baudrate=19200)
    await server.serve_forever(background=True)
    _say(f"serial line at {path}")
    await loop.create_future()


async def talker() -> None:
    """A device that talks by itself and listens."""
    loop = asyncio.get_running_loop()
    master, path = _pair()
    heard = bytearray()

    def hear() -> None:
        heard.extend(os.read(master, 4096))
        while b"\n" in heard:
            line, _, rest = heard.partition(b"\n")
            heard[:] = rest
            _say(f"heard {line.decode(errors='replace')}")

    loop.add_reader(master, hear)
    _say(f"serial line at {path}")
    for number in itertools.count():
        try:
            os.write(master, b"%08d\n" % number)
        except BlockingIOError:
            _say(f"lost {number}")
        await asyncio.sleep(_PERIOD_S)


if __name__ == "__main__":
    asyncio.run(modbus() if sys.argv[1] == "modbus" else talker())

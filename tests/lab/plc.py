"""Program: a PLC, as a Modbus TCP server whose holding registers change while it runs.

Usage: python -m lab.plc [--address 192.168.50.10] [--port 502]

| register | holds | unit |
|---|---|---|
| 0 | a counter, one more every tenth of a second | |
| 1 | tank level, a sine between 200 and 800 in 60 s | 0.1 % |
| 2 | temperature, a sine between 650 and 750 in 20 s | 0.1 degrees C |
| 3 | pump: 1 while the tank fills, else 0 | |
| 10-19 | free to be written and read back | |

Says "PLC listens on ADDRESS:PORT" when it answers.
"""

from __future__ import annotations

import argparse
import asyncio
import math
import sys

from pymodbus.datastore import ModbusDeviceContext, ModbusSequentialDataBlock, ModbusServerContext
from pymodbus.server import ModbusTcpServer

REGISTERS = 200
_TICK_S = 0.1


def values(ticks: int) -> list[int]:
    """Registers 0 to 3 after so many tenths of a second."""
    time_s = ticks * _TICK_S
    level = 500 + 300 * math.sin(2 * math.pi * time_s / 60)
    temperature = 700 + 50 * math.sin(2 * math.pi * time_s / 20)
    fills = math.cos(2 * math.pi * time_s / 60) > 0
    return [ticks % 65536, round(level), round(temperature), int(fills)]


async def serve(address: str, port: int) -> None:
    """Answer until cancelled. Any unit id is answered, as most PLCs with Modbus TCP do."""
    # pymodbus counts the registers of a data block from 1.
    block = ModbusSequentialDataBlock(1, [0] * REGISTERS)
    server = ModbusTcpServer(ModbusServerContext(ModbusDeviceContext(hr=block), single=True), address=(address, port))
    await server.serve_forever(background=True)
    sys.stdout.write(f"PLC listens on {address}:{port}\n")
    sys.stdout.flush()
    ticks = 0
    while True:
        block.setValues(1, values(ticks))
        await asyncio.sleep(_TICK_S)
        ticks += 1


def main() -> None:
    """Run until interrupted."""
    parser = argparse.ArgumentParser(prog="lab.plc", description="a Modbus TCP PLC with changing registers")
    parser.add_argument("--address", default="192.168.50.10")
    parser.add_argument("--port", type=int, default=502)
    arguments = parser.parse_args()
    try:
        asyncio.run(serve(arguments.address, arguments.port))
    except KeyboardInterrupt:
        sys.exit(130)


if __name__ == "__main__":
    main()

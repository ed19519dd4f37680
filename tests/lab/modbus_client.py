"""Program: an ordinary Modbus TCP client that polls holding registers and prints them. It knows nothing of Gatelink.

Usage: python -m lab.modbus_client [--address 192.168.50.10] [--port 502] [--count 4] [--polls 0] [--period 1.0]

One line a poll: "0.412 ms: 17 503 701 1" (round trip, registers from 0 on). If the PLC does not answer: one line on
standard error and status 1.
"""

from __future__ import annotations

import argparse
import itertools
import logging
import sys
import time

from pymodbus.client import ModbusTcpClient
from pymodbus.exceptions import ModbusException


def poll(client: ModbusTcpClient, count: int) -> str:
    """Read `count` registers once; the line to print. Raises ModbusException."""
    begin = time.perf_counter()
    answer = client.read_holding_registers(0, count=count)
    took_ms = (time.perf_counter() - begin) * 1000
    if answer.isError():
        raise ModbusException(f"the PLC refused: {answer}")
    return f"{took_ms:.3f} ms: {' '.join(str(register) for register in answer.registers)}"


def main() -> int:
    """Poll until the number of polls is reached (0: until interrupted)."""
    parser = argparse.ArgumentParser(prog="lab.modbus_client", description="poll a Modbus TCP PLC")
    parser.add_argument("--address", default="192.168.50.10")
    parser.add_argument("--port", type=int, default=502)
    parser.add_argument("--count", type=int, default=4, help="registers a poll")
    parser.add_argument("--polls", type=int, default=0, help="0: until interrupted")
    parser.add_argument("--period", type=float, default=1.0, help="seconds between polls")
    parser.add_argument("--timeout", type=float, default=3.0, help="seconds to wait for an answer")
    arguments = parser.parse_args()
    logging.getLogger("pymodbus.logging").addHandler(logging.NullHandler())  # errors are told here, in one line
    target = f"{arguments.address}:{arguments.port}"
    client = ModbusTcpClient(arguments.address, port=arguments.port, timeout=arguments.timeout, retries=0)
    try:
        if not client.connect():
            sys.stderr.write(f"no connection to the PLC at {target} within {arguments.timeout:g} s\n")
            return 1
        for number in itertools.count(1):
            sys.stdout.write(poll(client, arguments.count) + "\n")
            sys.stdout.flush()
            if number == arguments.polls:
                break
            time.sleep(arguments.period)
    except ModbusException as error:
        sys.stderr.write(f"the PLC at {target} does not answer: {error}\n")
        return 1
    except KeyboardInterrupt:
        return 130
    finally:
        client.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""An engineer's session: the Ethernet PLC, and the serial one at the gateway's own port, through the whole link."""

from __future__ import annotations

import re
import sys

import pytest

from lab.products import APPLIANCE
from qemu.ports import open_ports
from qemu.scene import Scene

pytestmark = [pytest.mark.netns, pytest.mark.slow, pytest.mark.timeout(3600)]

_READ = """
import sys
from pymodbus.client import ModbusTcpClient
client = ModbusTcpClient(sys.argv[1], port=502, timeout=60, retries=0)
assert client.connect()
print(*client.read_holding_registers(5, count=3, device_id=7).registers)
client.close()
"""


def test_pc_reads_the_plc_through_the_gateway_and_nothing_else(connected: Scene) -> None:
    connected.system.start_lm()
    connected.connect()
    client = connected.lab.pc.start_module("lab.modbus_client", "--polls", "5", "--period", "0.2")
    assert client.wait(120) == 0, client.log
    assert len(re.findall(r" ms: ", client.log)) == 5
    assert open_ports(connected.lab.pc, "192.168.50.10", [80, 443]) == []
    assert open_ports(connected.lab.pc, "192.168.50.1", [22, 80, 443]) == []


def test_pc_reads_the_serial_plc_through_the_gateway(connected: Scene) -> None:
    plc = connected.lab.site.start_module("lab.serial_plc", "modbus")
    path = plc.wait_for_line(r"serial line at (\S+)", 60)[1]
    cable = connected.lab.site.start_module("qemu.serial_cable", str(connected.gateway.serial), path)
    cable.wait_for_line("plugged in", 60)
    gm, lm = connected.system.gm, connected.system.lm
    gm.run("devices", "add", APPLIANCE, "drive", "ttyS0", "--serial")
    gm.run("services", "add", f"{APPLIANCE}/drive", "modbus")
    (found,) = (row for row in gm.ask("devices", "list") if row["path"] == f"{APPLIANCE}/drive")
    lm.run("disconnect", "--all", timeout_s=120)
    connected.connect()
    done = connected.lab.pc.run([sys.executable, "-W", "ignore", "-c", _READ, found["virtual_address"]], timeout_s=300)
    assert done.stdout.split() == ["105", "106", "107"]
    lm.run("disconnect", "--all", timeout_s=120)

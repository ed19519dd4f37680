"""Program: devices that others wrote, for what looks for devices. Each says "NAME is ready".

Usage: python -m lab.simulators s7|opcua|ethernet-ip|bacnet|modbus|profinet ADDRESS

| name | whose |
|---|---|
| s7 | python-snap7's server |
| opcua | asyncua's server |
| ethernet-ip | cpppo's server |
| bacnet | bacpypes3's application |
| modbus | pymodbus' server, with an identity |
| profinet | a station that answers DCP, by scapy's reading and writing of it; it says LLDP as well |
"""

from __future__ import annotations

import asyncio
import socket
import sys
import threading
from typing import Any

STATION_MAC = "00:1b:1b:12:34:56"


def _ready(name: str) -> None:
    sys.stdout.write(f"{name} is ready\n")
    sys.stdout.flush()


def s7(address: str) -> None:
    """A CPU as python-snap7 has it."""
    from snap7.server import Server

    server: Any = Server(log=False)
    server.start_to(address, 102) if hasattr(server, "start_to") else server.start(102)
    _ready("s7")
    threading.Event().wait()


async def opcua(address: str) -> None:
    """A server with a name."""
    from asyncua import Server

    server = Server()
    await server.init()
    server.set_endpoint(f"opc.tcp://{address}:4840")
    server.set_server_name("Packing line UA")
    await server.set_application_uri("urn:acme:packer")
    async with server:
        _ready("opcua")
        await asyncio.get_running_loop().create_future()


def ethernet_ip(address: str) -> None:
    """A Logix controller as cpppo has it."""
    from cpppo.server.enip.main import main

    threading.Thread(target=main, args=(["--address", "0.0.0.0:44818", "Speed=DINT[10]"],), daemon=True).start()
    while True:
        with socket.socket() as probe:
            if probe.connect_ex((address, 44818)) == 0:
                break
        threading.Event().wait(0.1)
    _ready("ethernet-ip")
    threading.Event().wait()


async def bacnet(address: str) -> None:
    """A device with instance 4711."""
    from bacpypes3.argparse import SimpleArgumentParser
    from bacpypes3.ipv4.app import Application

    arguments = SimpleArgumentParser().parse_args(
        ["--name", "chiller", "--instance", "4711", "--vendoridentifier", "999", "--address", f"{address}/24"]
    )
    app = Application.from_args(arguments)
    _ready("bacnet")
    await asyncio.get_running_loop().create_future()
    app.close()


async def modbus(address: str) -> None:
    """A drive that says who it is."""
    from pymodbus import ModbusDeviceIdentification
    from pymodbus.datastore import ModbusDeviceContext, ModbusSequentialDataBlock, ModbusServerContext
    from pymodbus.server import ModbusTcpServer

    names = {"VendorName": "Acme Drives", "ProductCode": "AD-7", "MajorMinorRevision": "2.4"}
    context = ModbusServerContext(ModbusDeviceContext(hr=ModbusSequentialDataBlock(1, [7] * 9)), single=True)
    identity = ModbusDeviceIdentification(info_name=names)
    server = ModbusTcpServer(context, identity=identity, address=(address, 502))
    await server.serve_forever(background=True)
    _ready("modbus")
    await asyncio.get_running_loop().create_future()


def profinet(interface: str) -> None:
    """A PROFINET station on an interface; its frames have a MAC of their own."""
    from scapy.compat import raw
    from scapy.contrib import lldp
    from scapy.contrib.pnio import ProfinetIO
    from scapy.contrib.pnio_dcp import (
        DCPDeviceIDBlock,
        DCPIPBlock,
        DCPManufacturerSpecificBlock,
        DCPNameOfStationBlock,
        ProfinetDCP,
    )
    from scapy.layers.l2 import Ether

    port = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
    port.bind((interface, 0))
    port.setsockopt(263, 1, socket.if_nametoindex(interface).to_bytes(4, "little") + b"\1\0" + bytes(10))  # promiscuous
    said = (
        Ether(src=STATION_MAC, dst="01:80:c2:00:00:0e", type=0x88CC)
        / lldp.LLDPDUChassisID(subtype=4, id=STATION_MAC)
        / lldp.LLDPDUPortID(subtype=7, id=b"port-001")
        / lldp.LLDPDUTimeToLive(ttl=20)
        / lldp.LLDPDUSystemName(system_name=b"press-io")
        / lldp.LLDPDUSystemDescription(description=b"Siemens, SIMATIC NET")
        / lldp.LLDPDUEndOfLLDPDU()
    )
    _ready("profinet")
    while True:
        frame = port.recv(2048)
        if frame[12:14] != b"\x88\x92" or frame[14:16] != b"\xfe\xfe":
            continue
        asked = Ether(frame)
        name, kind = b"press-io", b"ET200SP"
        blocks = (
            DCPManufacturerSpecificBlock(device_vendor_value=kind, dcp_block_length=2 + len(kind), padding=b"\0")
            / DCPNameOfStationBlock(name_of_station=name, dcp_block_length=2 + len(name), padding=b"")
            / DCPDeviceIDBlock(vendor_id=0x2A, device_id=0x313, dcp_block_length=6, padding=b"")
            / DCPIPBlock(
                ip="192.168.50.77", netmask="255.255.255.0", gateway="0.0.0.0", dcp_block_length=14, padding=b""
            )
        )
        answer = (
            Ether(src=STATION_MAC, dst=asked.src, type=0x8892)
            / ProfinetIO(frameID=0xFEFF)
            / ProfinetDCP(service_id=5, service_type=1, xid=asked[ProfinetDCP].xid, dcp_data_length=len(raw(blocks)))
            / blocks
        )
        sys.stdout.write(f"asked by {asked.src}\n")
        sys.stdout.flush()
        port.send(raw(answer).ljust(60, b"\0"))
        port.send(raw(said))


def main(name: str, address: str) -> None:
    """Be one of them until ended."""
    programs: dict[str, Any] = {
        "s7": s7,
        "opcua": opcua,
        "ethernet-ip": ethernet_ip,
        "bacnet": bacnet,
        "modbus": modbus,
        "profinet": profinet,
    }
    done = programs[name](address)
    if asyncio.iscoroutine(done):
        asyncio.run(done)


if __name__ == "__main__":
    main(*sys.argv[1:])

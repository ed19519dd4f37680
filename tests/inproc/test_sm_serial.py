"""Serial ports as masters and terminals see them: real ptys, a PLC of pymodbus, masters of pymodbus and pyserial."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import sys
import termios
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from pymodbus.client import AsyncModbusTcpClient

from gatelink.messages import DeviceAccess, LineSettings, Service
from inproc.serial_plc import PtyPair, modbus_plc
from sitemanager.config import Config
from sitemanager.core.desired import SessionNetwork
from sitemanager.core.serial_settings import FoundPort, SerialConfig, matching
from sitemanager.host.serial.ports import found_ports
from sitemanager.services.appliance_status import ApplianceReport
from sitemanager.services.desk import Desk
from sitemanager.services.gm_line import GmLine
from sitemanager.services.serial.part import SerialPorts

DEADLINE_S = 60.0
VIRTUAL = "127.0.0.77"
"""On loopback: here the PC of a session is 127.0.0.1."""


def free_ports(count: int) -> list[int]:
    """Different ones: all are held until the last is found."""
    with contextlib.ExitStack() as held:
        probes = [held.enter_context(socket.create_server((VIRTUAL, 0))) for _ in range(count)]
        return [int(probe.getsockname()[1]) for probe in probes]


class Scene:
    """A SiteManager's serial ports, one session that may use one of them by three services, and the cable."""

    def __init__(self, pair: PtyPair, config: SerialConfig) -> None:
        self.lines: list[str] = []
        self.pair = pair
        self.modbus, self.raw, self.rfc2217 = free_ports(3)
        services = (
            Service("modbus", "tcp", self.modbus, self.modbus),
            Service("raw", "tcp", self.raw, self.raw),
            Service("rfc2217", "tcp", self.rfc2217, self.rfc2217),
        )
        device = DeviceAccess("d1", "drive", "", services, virtual_address=VIRTUAL, serial_port="drive")
        self.session = SessionNetwork("gls0", "127.0.0.1", "100.64.0.1", 30, (device,), 1, "anna")
        appliance = ApplianceReport(GmLine(), lambda: None, lambda: 0.0)
        self.part = SerialPorts(Desk(lambda _: False), appliance, self.lines.append, find=tuple)
        self.appliance = appliance
        self.config = Config(serial=(config,))

    def used_by(self) -> str:
        (state,) = self.part.states()
        return state.used_by

    def away(self) -> list[bool]:
        """Of each connection, whether its session is broken."""
        return [client.is_away for client in self.part._ports["drive"].clients]

    async def until(self, text: str) -> None:
        async with asyncio.timeout(DEADLINE_S):
            while not any(text in line for line in self.lines):  # noqa: ASYNC110 - what is waited for knows no tests
                await asyncio.sleep(0.01)


@contextlib.asynccontextmanager
async def scene(path: Path, **settings: Any) -> AsyncIterator[Scene]:
    pair = PtyPair(path, asyncio.get_running_loop())
    # The PLC is in this process: on a busy machine it is slow to answer.
    values: dict[str, Any] = {"baud": 19200, "answer_ms": 10_000, "turnaround_ms": 20, **settings}
    found = Scene(pair, SerialConfig(name="drive", device=pair.sm_path, **values))
    try:
        await found.part.use(found.config)
        found.part.sessions_changed((found.session,))
        yield found
    finally:
        await found.part.close()
        found.appliance.close()
        pair.close()


@contextlib.asynccontextmanager
async def master(port: int) -> AsyncIterator[AsyncModbusTcpClient]:
    client = AsyncModbusTcpClient(VIRTUAL, port=port, timeout=DEADLINE_S, retries=0)
    assert await client.connect()
    try:
        yield client
    finally:
        client.close()


@pytest.mark.parametrize("framing", ["rtu", "ascii"])
def test_masters_read_and_write_a_serial_plc_when_they_ask_at_the_same_time(tmp_path: Path, framing: str) -> None:
    async def scenario() -> None:
        async with scene(tmp_path, framing=framing) as site:
            plc = await modbus_plc(site.pair.plc_path, framing, units=(7, 9))
            try:
                async with master(site.modbus) as one, master(site.modbus) as two:

                    async def poll(client: AsyncModbusTcpClient, unit: int, first: int) -> None:
                        for _ in range(5):
                            answer = await client.read_holding_registers(first, count=3, device_id=unit)
                            assert answer.registers == [100 + first, 101 + first, 102 + first]

                    await asyncio.gather(poll(one, 7, 0), poll(two, 9, 10), poll(one, 9, 20))
                    assert not (await one.write_register(4, 4711, device_id=7)).isError()
                    assert (await two.read_holding_registers(4, count=1, device_id=7)).registers == [4711]
                    assert site.used_by() == "anna"
            finally:
                await plc.shutdown()

    asyncio.run(scenario())


def test_master_gets_exceptions_when_the_plc_is_silent_or_the_unit_impossible(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with scene(tmp_path) as site:
            plc = await modbus_plc(site.pair.plc_path)
            try:
                async with master(site.modbus) as client:
                    impossible = await client.read_holding_registers(0, count=1, device_id=250)
                    assert impossible.exception_code == 0x0A
                    wrong = await client.read_holding_registers(4000, count=1, device_id=7)
                    assert wrong.exception_code == 2  # the PLC's own
                    assert (await client.read_holding_registers(0, count=1, device_id=7)).registers == [100]
            finally:
                await plc.shutdown()
        async with scene(tmp_path, answer_ms=100) as site, master(site.modbus) as client:
            silent = await client.read_holding_registers(0, count=1, device_id=8)
            assert silent.exception_code == 0x0B

    asyncio.run(scenario())


def test_broadcast_goes_to_the_line_and_nobody_answers(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with scene(tmp_path) as site:
            plc = await modbus_plc(site.pair.plc_path)
            try:
                reader, writer = await asyncio.open_connection(VIRTUAL, site.modbus)
                writer.write(bytes.fromhex("0001 0000 0006 00 06 0004 1267 0002 0000 0006 07 03 0004 0001"))
                async with asyncio.timeout(DEADLINE_S):
                    answer = await reader.readexactly(11)
                assert answer[:2] == b"\0\2"
                assert bytes(site.pair.heard).startswith(bytes.fromhex("00 06 0004 1267"))
                writer.close()
            finally:
                await plc.shutdown()

    asyncio.run(scenario())


def test_connection_is_closed_when_it_speaks_no_modbus(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with scene(tmp_path) as site:
            reader, writer = await asyncio.open_connection(VIRTUAL, site.modbus)
            writer.write(b"GET / HTTP/1.1\r\n\r\n")
            with contextlib.suppress(ConnectionError):
                assert await reader.read() == b""
            writer.close()
            await site.until("expected Modbus TCP")

    asyncio.run(scenario())


def test_terminal_has_the_line_for_itself_when_it_is_raw(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with scene(tmp_path) as site:
            far = os.open(site.pair.plc_path, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)
            try:
                reader, writer = await asyncio.open_connection(VIRTUAL, site.raw)
                everything = bytes(range(256)) * 4
                writer.write(everything)
                async with asyncio.timeout(DEADLINE_S):
                    while bytes(site.pair.heard) != everything:  # noqa: ASYNC110 - the pty has no event for us
                        await asyncio.sleep(0.01)
                os.write(far, b"\xff\x00answer")
                async with asyncio.timeout(DEADLINE_S):
                    assert await reader.readexactly(8) == b"\xff\x00answer"
                second, second_writer = await asyncio.open_connection(VIRTUAL, site.modbus)
                with contextlib.suppress(ConnectionError):
                    assert await second.read() == b""
                second_writer.close()
                await site.until("is not let in: anna uses it (raw)")
                writer.close()
            finally:
                os.close(far)

    asyncio.run(scenario())


def test_pc_sets_the_line_and_exchanges_every_byte_when_it_speaks_rfc2217(tmp_path: Path) -> None:
    terminal = (
        "import serial, sys\n"
        "with serial.serial_for_url(sys.argv[1], baudrate=38400, stopbits=2, timeout=60) as line:\n"
        "    everything = bytes(range(256))\n"
        "    line.write(everything)\n"
        "    assert line.read(256) == everything\n"
        "    line.baudrate = 57600\n"
        "    print('echoed')\n"
    )

    async def scenario() -> None:
        async with scene(tmp_path) as site:
            far = os.open(site.pair.plc_path, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)
            loop = asyncio.get_running_loop()
            loop.add_reader(far, lambda: os.write(far, os.read(far, 4096)))
            try:
                url = f"rfc2217://{VIRTUAL}:{site.rfc2217}?timeout=60"
                argv = (sys.executable, "-W", "ignore", "-c", terminal, url)
                program = await asyncio.create_subprocess_exec(*argv, stdout=asyncio.subprocess.PIPE)
                assert (await program.communicate())[0] == b"echoed\n"
                await site.until("anna left")
                port = site.part._ports["drive"]
                assert not port.clients
                assert port._line is None
            finally:
                loop.remove_reader(far)
                os.close(far)

    asyncio.run(scenario())


def test_client_is_cut_off_when_its_grant_ends_and_waits_when_its_session_breaks(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with scene(tmp_path) as site:
            reader, writer = await asyncio.open_connection(VIRTUAL, site.raw)
            await site.until("open for anna (raw)")
            site.part.sessions_changed(())
            assert site.away() == [True]
            site.part.sessions_changed((site.session,))
            assert site.away() == [False]
            site.part.sessions_changed((msgspec.structs.replace(site.session, mark=2),))
            with contextlib.suppress(ConnectionError):
                assert await reader.read() == b""  # another user has the address now
            writer.close()

    asyncio.run(scenario())


def test_line_is_set_as_the_administrator_says_and_its_user_is_cut_when_that_changes(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with scene(tmp_path) as site:

            def administrator_says(line: LineSettings | None) -> str:
                device = msgspec.structs.replace(site.session.devices[0], line=line)
                site.part.sessions_changed((msgspec.structs.replace(site.session, devices=(device,)),))
                return site.part._ports["drive"].settings_text

            assert administrator_says(None) == "19200 8N1"
            reader, writer = await asyncio.open_connection(VIRTUAL, site.raw)
            await site.until("open for anna (raw)")
            assert administrator_says(LineSettings(38400, 8, "E", 2)) == "38400 8E2"
            with contextlib.suppress(ConnectionError):
                assert await reader.read() == b""
            writer.close()
            await site.until("anna left")
            site.lines.clear()
            reader, writer = await asyncio.open_connection(VIRTUAL, site.raw)
            await site.until("open for anna (raw)")
            assert site.pair.speed == termios.B38400
            await site.part.use(site.config)
            site.part.sessions_changed(())
            assert administrator_says(LineSettings(38400, 8, "E", 2)) == "38400 8E2"
            assert site.away() == [False], site.lines
            assert administrator_says(None) == "19200 8N1"
            writer.close()

    asyncio.run(scenario())


def usb_tree(root: Path, tty_name: str, socket_name: str, serial_number: str, interface: str = "00") -> None:
    """What the kernel shows of a USB adapter."""
    device = root / "devices" / socket_name
    port = device / f"{socket_name}:1.{int(interface)}" / tty_name
    port.mkdir(parents=True)
    (device / "idVendor").write_text("0403\n")
    (device / "manufacturer").write_text("FTDI\n")
    (device / "product").write_text("USB <RS485>\n")
    if serial_number:
        (device / "serial").write_text(f"{serial_number}\n")
    (port.parent / "bInterfaceNumber").write_text(f"{interface}\n")
    entry = root / "class" / tty_name
    entry.mkdir(parents=True)
    (entry / "device").symlink_to(port)


def test_adapter_keeps_its_name_when_it_is_in_another_socket(tmp_path: Path) -> None:
    usb_tree(tmp_path / "a", "ttyUSB0", "1-1", "A10K")
    usb_tree(tmp_path / "a", "ttyUSB1", "1-2", "B/..2", interface="01")
    usb_tree(tmp_path / "b", "ttyUSB7", "3-4.1", "A10K")
    usb_tree(tmp_path / "b", "ttyACM0", "3-5", "")
    assert [(port.name, port.path) for port in found_ports(tmp_path / "a" / "class")] == [
        ("usb-A10K", "/dev/ttyUSB0"),
        ("usb-B_..2-01", "/dev/ttyUSB1"),
    ]
    later = found_ports(tmp_path / "b" / "class")
    assert [port.name for port in later] == ["usb-A10K", "usb-at-3-5:1.0"]
    assert matching(SerialConfig(name="drive", device="usb-A10K"), later) == "/dev/ttyUSB7"
    assert matching(SerialConfig(name="drive", device="usb-other"), later) is None
    assert found_ports(tmp_path / "nothing") == ()
    assert later[0] == FoundPort("usb-A10K", "/dev/ttyUSB7", "FTDI USB <RS485>")

"""Devices that are checked: what the GateManager hears, and when."""

from __future__ import annotations

import asyncio
import socket
from pathlib import Path

import pytest
from pymodbus.datastore import ModbusDeviceContext, ModbusSequentialDataBlock, ModbusServerContext
from pymodbus.server import ModbusTcpServer

from gatelink.messages import DeviceState, DeviceStates, WatchDevices
from gatelink.messages.appliance import DeviceWatch
from inproc.sm_site import SiteGm, site_and_gm
from sitemanager.core.checks import CheckBook, Finding
from sitemanager.exceptions import NetworkError
from sitemanager.host.probes.ping import ping

GREEN, RED = Finding(True, "answers"), Finding(False, "no answer")
PLC = DeviceWatch("d1", "192.168.50.10")


def found(gm: SiteGm) -> dict[str, DeviceState]:
    """The last state that the GateManager heard of each device."""
    return {s.device_id: s for message in gm.messages if isinstance(message, DeviceStates) for s in message.states}


def test_gm_hears_what_is_reachable_when_it_asks_for_checks(tmp_path: Path) -> None:
    async def scenario() -> None:
        # Bound and not listening: nobody else gets the port meanwhile.
        closed = socket.socket()
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
        registers = ModbusDeviceContext(hr=ModbusSequentialDataBlock(1, [7] * 10))
        plc = ModbusTcpServer(ModbusServerContext(registers, single=True), address=("127.0.0.1", 0))
        await plc.serve_forever(background=True)
        plc_port = plc.transport.sockets[0].getsockname()[1]
        silent = socket.create_server(("127.0.0.1", 0))
        try:
            async with site_and_gm(tmp_path) as (_site, gm):
                devices = (
                    DeviceWatch("modbus", "127.0.0.1", "modbus", plc_port),
                    DeviceWatch("tcp", "127.0.0.1", "tcp", plc_port),
                    DeviceWatch("closed", "127.0.0.1", "tcp", port),
                    DeviceWatch("silent", "127.0.0.1", "modbus", silent.getsockname()[1]),
                )
                gm.send(WatchDevices(devices=devices, period_s=5.0))
                await gm.until(lambda: len(found(gm)) == 4, "all states")
                states = found(gm)
                assert {name: state.reachable for name, state in states.items()} == {
                    "modbus": True,
                    "tcp": True,
                    "closed": False,
                    "silent": False,
                }
                assert "nothing listens" in states["closed"].text
                assert "does not answer Modbus" in states["silent"].text
                assert states["tcp"].checked_at > 1_999_999_000
        finally:
            closed.close()
            silent.close()
            await plc.shutdown()

    asyncio.run(scenario())


def test_ping_is_answered_when_the_host_is_there() -> None:
    async def scenario() -> None:
        try:
            assert await ping("127.0.0.1", 60.0) is not None
        except NetworkError as error:
            pytest.skip(str(error))

    asyncio.run(scenario())


def test_one_lost_answer_alarms_nobody_and_the_second_does() -> None:
    book = CheckBook()
    book.watch((PLC,))
    first = book.note(PLC, GREEN, 1.0)
    assert first is not None
    assert first.reachable
    assert book.note(PLC, RED, 2.0) is None
    assert book.states[0].reachable
    assert book.states[0].text == "answers"
    second = book.note(PLC, RED, 3.0)
    assert second is not None
    assert not second.reachable
    back = book.note(PLC, GREEN, 4.0)
    assert back is not None
    assert back.reachable


def test_device_is_red_at_once_when_its_first_check_fails_and_forgotten_when_it_is_another_one() -> None:
    book = CheckBook()
    book.watch((PLC,))
    assert book.note(PLC, RED, 1.0) is not None
    other = DeviceWatch("d1", "192.168.50.11")
    book.watch((other,))
    assert not book.states
    assert book.note(PLC, RED, 2.0) is None

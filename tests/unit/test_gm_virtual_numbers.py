"""Numbers of virtual addresses: given once, all different, and quickly to all devices of an earlier version."""

from __future__ import annotations

import ipaddress
from pathlib import Path

import pytest
from sqlalchemy import event, insert, select, update
from sqlalchemy.orm import Session

from gm_server.appliances.virtual import VIRTUAL_NETWORK, free_number, number_devices
from gm_server.database.tables import Device
from gm_server.exceptions import Conflict
from inproc.gm_running import Clock, RunningGm, make_directory

DEVICES = 3000


@pytest.fixture
def gm(tmp_path: Path) -> RunningGm:
    """Records with many devices that have no number."""
    gm = RunningGm(make_directory(tmp_path / "gm"), Clock())
    gm.plant()

    def add(session: Session) -> None:
        appliance_id = session.scalars(select(Device.appliance_id)).one()
        fields = {"appliance_id": appliance_id, "virtual_number": None}
        rows = [
            fields | {"id": f"dev-{n:05}", "name": f"plc {n}", "address": f"10.0.{n >> 8}.{n & 255}"}
            for n in range(DEVICES)
        ]
        session.execute(insert(Device), rows)

    gm.write(add)
    return gm


def _numbers(session: Session) -> list[int | None]:
    return list(session.scalars(select(Device.virtual_number).order_by(Device.id)))


def test_every_device_gets_a_number_in_few_statements_when_none_has_one(gm: RunningGm) -> None:
    statements: list[str] = []

    def number(session: Session) -> int:
        event.listen(session.get_bind(), "before_cursor_execute", lambda *args: statements.append(str(args[2])))
        return number_devices(session)

    assert gm.write(number) == DEVICES
    assert len(statements) <= 4, statements[:6]
    assert gm.read(_numbers) == [*range(2, DEVICES + 2), 1]
    assert gm.write(number_devices) == 0
    assert gm.read(free_number) == DEVICES + 2


def test_gaps_are_filled_when_the_highest_number_is_taken(gm: RunningGm) -> None:
    def narrow(session: Session, prefix: int) -> int:
        session.info[VIRTUAL_NETWORK] = ipaddress.IPv4Network(f"100.96.0.0/{prefix}")
        highest = 2 ** (32 - prefix) - 2
        session.execute(update(Device).where(Device.name == "plc").values(virtual_number=highest))
        return number_devices(session)

    with pytest.raises(Conflict, match="all 2046 virtual addresses are taken"):
        gm.write(narrow, 21)
    assert gm.write(narrow, 20) == DEVICES
    assert gm.read(_numbers) == [*range(1, DEVICES + 1), 4094]
    assert gm.read(free_number) == 4095

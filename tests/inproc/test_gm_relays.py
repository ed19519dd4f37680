"""Permanent relays at a whole GateManager: who is told of them, what their sessions may, what ends them."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from gatelink import messages
from gatelink.exceptions import InputError
from gatelink.identity import certificate_sha256
from gatelink.messages import Push, RelayState, Service
from gm_server.access.relays import FIRST_PC_PORT
from gm_server.acts import devices, relays
from gm_server.acts.devices import NewDevice, ServicePorts
from gm_server.acts.paging import Paging
from gm_server.acts.relays import NewRelay, RelayChange, RelayView
from gm_server.config import Limits
from gm_server.database.tables import AuditEntry
from gm_server.exceptions import Conflict
from inproc.gm_people import CONSOLE
from inproc.gm_running import DEADLINE_S, RunningGm, User, connected_plant, open_session, running_gm, until

PLC = "acme/line3/press1/plc"
PULL = NewRelay(name="from-plc", direction="pull", device=PLC, user="ada", port=15020, service="modbus")
PUSH = NewRelay(name="to-server", direction="push", device=PLC, user="ada", port=1883)


def add(gm: RunningGm, new: NewRelay) -> RelayView:
    return gm.write(relays.add_relay, CONSOLE, new, gm.clock())


def shown(gm: RunningGm) -> dict[str, RelayView]:
    """How relays are, by name, as portal and API show them."""
    page = gm.read(relays.list_relays, CONSOLE, Paging(), gm.clock())
    live = gm.server.live
    return {view.name: relays.observed(view, live.relay(view.id, view.appliance_id)) for view in page.items}


async def heard(user: User, *kinds: type[messages.Message]) -> dict[type[messages.Message], Any]:
    """Wait for one message of each of these kinds, in whatever order they come among others."""
    found: dict[type[messages.Message], Any] = {}
    async with asyncio.timeout(DEADLINE_S):
        while not {*kinds} <= found.keys():
            message = await user.hear()
            found[type(message)] = message
    return found


def test_relays_are_told_carried_and_ended(tmp_path: Path) -> None:
    async def scenario() -> None:
        limits = Limits(sessions_per_user=1)
        async with connected_plant(tmp_path / "gm", limits=limits) as (gm, appliance, user):
            ssh = (ServicePorts("ssh", "tcp", 22),)
            hmi = NewDevice(name="hmi", address="192.168.1.11", services=ssh)
            gm.write(devices.add_device, CONSOLE, "acme/line3/press1", hmi, gm.clock())
            pull, push = add(gm, PULL), add(gm, PUSH)
            assert {view.condition for view in shown(gm).values()} == {"denied"}
            await user.say(messages.WatchRelays(request_id=1))
            told = (await heard(user, messages.Done, messages.Relays))[messages.Relays].relays
            assert [(duty.name, duty.direction, duty.port, duty.target_port) for duty in told] == [
                ("from-plc", "pull", 15020, 502),
                ("to-server", "push", 1883, FIRST_PC_PORT),
            ]
            assert (await user.ask_for(appliance, for_relays=True)).code == "not-granted"
            gm.grant()
            assert {view.condition for view in shown(gm).values()} == {"not carried"}
            # An engineer with the same grants reaches everything, and nothing is pushed to him.
            mine = await open_session(user, appliance)
            assert len(mine.opened.devices) > 1
            assert not any(device.pushes for device in mine.opened.devices)
            # The relays have a session of their own beside all that he may have: two ports, no more.
            carried = await open_session(user, appliance, for_relays=True)
            [device] = carried.opened.devices
            assert device.services == (Service("modbus", "tcp", 502, 502),)
            assert device.pushes == (Push(push.id, 1883, FIRST_PC_PORT),)
            assert carried.connected.devices == carried.opened.devices
            lie = RelayState("rly-0000000000000000", "listening", "not mine")
            state = RelayState(pull.id, "listening", "on 127.0.0.1 port 15020", 1, 2, 3, 40, 50)
            await user.say(messages.RelayStates(states=(state, lie)))
            await until(lambda: shown(gm)["from-plc"].condition == "listening")
            seen = shown(gm)["from-plc"]
            assert (seen.connections, seen.opened, seen.refused) == (1, 2, 3)
            assert (seen.bytes_to_device, seen.bytes_from_device) == (40, 50)
            assert set(gm.server.relays.told()) == {pull.id}
            # Turned off it is gone from the session, which goes on for the other one.
            gm.write(relays.change_relay, CONSOLE, push.id, RelayChange(enabled=False), gm.clock())
            news = await heard(user, messages.ChangeSession, messages.Relays)
            assert [device.pushes for device in news[messages.ChangeSession].devices] == [()]
            assert [duty.name for duty in news[messages.Relays].relays] == ["from-plc"]
            gm.write(relays.remove_relay, CONSOLE, "from-plc", gm.clock())
            news = await heard(user, messages.EndSession, messages.Relays)
            assert news[messages.EndSession].session_id == carried.session_id
            assert news[messages.EndSession].code == "grant-ended"
            assert news[messages.Relays].relays == ()
            assert await carried.is_cut()
            assert gm.server.sessions.live.get(mine.session_id) is not None
            mine.close()
            carried.close()

            def events(session: Session) -> set[str]:
                return set(session.scalars(select(AuditEntry.event)))

            assert {"relay.added", "relay.changed", "relay.removed", "session.opened"} <= gm.read(events)

    asyncio.run(scenario())


def test_one_linkmanager_carries_and_another_one_stands_by(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with connected_plant(tmp_path / "gm") as (gm, appliance, user):
            add(gm, PULL)
            gm.grant()
            first = await open_session(user, appliance, for_relays=True)
            other = User(gm, await gm.enrolled_user())
            await other.log_in()
            assert (await other.ask_for(appliance, for_relays=True)).code == "busy"
            # The agent that comes back finds what it left, and goes on in its place.
            appliance_id = appliance.enrolment.peer_id
            await user.say(messages.Connect(request_id=5, appliance_id=appliance_id, for_relays=True))
            news = await heard(user, messages.EndSession, messages.Connected)
            assert news[messages.EndSession].session_id == first.session_id
            assert await first.is_cut()
            user.close()
            await until(lambda: len(list(gm.server.peers.users())) == 1)
            assert isinstance(await other.ask_for(appliance, for_relays=True), messages.Connected)
            [live] = gm.server.sessions.live
            assert live.user_certificate_sha256 == certificate_sha256(other.identity.certificate)
            first.close()
            other.close()

    asyncio.run(scenario())


def test_relay_is_refused_when_it_cannot_be_or_is_in_the_way_of_another_one(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with running_gm(tmp_path / "gm") as gm:
            gm.plant()
            serial = NewDevice(name="drive", serial_port="rs485-1")
            gm.write(devices.add_device, CONSOLE, "acme/line3/press1", serial, gm.clock())
            add(gm, PULL)
            first = add(gm, PUSH)
            device = "acme/line3/press1/drive"
            wrong: tuple[tuple[type[Exception], str, dict[str, Any]], ...] = (
                (InputError, "needs a service", {"direction": "pull"}),
                (InputError, "no TCP service", {"direction": "pull", "service": "ping"}),
                (InputError, "not one of the service", {"direction": "pull", "service": "modbus", "device_port": 503}),
                (InputError, "serial port", {"device": device}),
                (InputError, "SiteManager's own", {"port": 443}),
                (InputError, "no service of the device", {"service": "modbus"}),
                (Conflict, "carries a relay from-plc", {"name": "from-plc"}),
                (Conflict, "push to the port 1883", {"port": 1883}),
                (Conflict, "port 15020", {"direction": "pull", "service": "modbus", "port": 15020}),
            )
            for kind, text, fields in wrong:
                usual = {"name": "new", "direction": "push", "device": PLC, "user": "ada", "port": 1884}
                with pytest.raises(kind, match=text):
                    add(gm, NewRelay(**{**usual, **fields}))
            assert add(gm, NewRelay(name="x", direction="push", device=PLC, user="ada", port=1884)).target_port > (
                first.target_port
            )
            with pytest.raises(Conflict):
                gm.write(relays.change_relay, CONSOLE, "x", RelayChange(port=1883), gm.clock())
            assert {view.port for view in shown(gm).values()} == {15020, 1883, 1884}

    asyncio.run(scenario())

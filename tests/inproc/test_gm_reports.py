"""What appliances report of themselves and their devices: kept, told to users, and to whoever asks."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from gatelink import messages
from gatelink.exceptions import Refused
from gm_server.appliances.checks import set_check
from gm_server.appliances.devices import add_device, add_services, get_device
from gm_server.appliances.events import begin_anew, list_events
from gm_server.appliances.registry import get_appliance
from gm_server.appliances.samples import STEPS, Sample, add_samples, samples_of, thin_samples
from gm_server.appliances.status import status_of
from gm_server.database.tables import Device
from inproc.gm_running import DEADLINE_S, Appliance, RunningGm, User, connected_plant, open_session, until

PATH = "acme/line3/press1"


async def next_watch(appliance: Appliance) -> messages.WatchDevices:
    """The next list of devices to check."""
    assert appliance.conversation is not None
    async with asyncio.timeout(DEADLINE_S):
        while True:
            message = await appliance.conversation.receive(messages.GM_TO_APPLIANCE)
            if isinstance(message, messages.WatchDevices):
                return message


def plc_row(session: Session) -> Device:
    return get_device(session, f"{PATH}/plc")


def test_user_sees_green_and_red_when_an_appliance_checked_its_devices(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with connected_plant(tmp_path / "gm") as (gm, appliance, user):
            gm.grant()
            (watch,) = (await next_watch(appliance)).devices
            assert (watch.address, watch.kind) == ("192.168.1.10", "ping")
            gm.write(lambda session: set_check(session, f"{PATH}/plc", "tcp", 502))
            (changed,) = (await next_watch(appliance)).devices
            assert (changed.kind, changed.port) == ("tcp", 502)
            stranger = messages.DeviceState("dev-of-another", reachable=True, checked_at=5.0)
            found = messages.DeviceState(watch.device_id, reachable=False, checked_at=5.0, text="no answer")
            await appliance.say(messages.DeviceStates(states=(found, stranger)))
            await appliance.say(messages.ApplianceStatus(locked=True, locked_by="key", hardware="Pi"))
            await until(lambda: gm.read(plc_row).reachable is False)
            await until(lambda: gm.read(get_appliance, PATH).hardware == "Pi")
            await user.say(messages.ListAppliances(request_id=3))
            (view,) = (await user.hear_kind(messages.ApplianceList)).appliances
            assert view.states == (found,)
            assert view.locked
            assert view.devices[0].virtual_address == "100.96.0.1"
            status = status_of(gm.read(get_appliance, PATH))
            assert status is not None
            assert status.locked_by == "key"

    asyncio.run(scenario())


async def _told_until(user: User, condition: Callable[[messages.ApplianceView], bool]) -> None:
    """Look at the tree whenever the GateManager says that it changed, and only then, until something is so."""
    while True:
        await user.hear_kind(messages.TreeChanged)
        await user.say(messages.ListAppliances(request_id=5))
        (view,) = (await user.hear_kind(messages.ApplianceList)).appliances
        if condition(view):
            return


def test_user_is_told_when_a_device_comes_or_goes_and_when_its_appliance_is_locked(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with connected_plant(tmp_path / "gm") as (gm, appliance, user):
            gm.grant()
            (watch,) = (await next_watch(appliance)).devices
            await user.say(messages.ListAppliances(request_id=3))
            await user.hear_kind(messages.ApplianceList)
            await user.say(messages.WatchTree(request_id=4))
            await user.hear_kind(messages.Done)
            # More than once: what was written before may be told late, and would hide that the first is not.
            for number, reachable in enumerate((True, False, True)):
                state = messages.DeviceState(watch.device_id, reachable=reachable, checked_at=5.0 + number)
                await appliance.say(messages.DeviceStates(states=(state,)))
                await _told_until(user, lambda view, state=state: view.states == (state,))  # type: ignore[misc]
            await appliance.say(messages.ApplianceStatus(locked=True, locked_by="key"))
            await _told_until(user, lambda view: view.locked)

    asyncio.run(scenario())


async def _kept_up_to(appliance: Appliance, number: int) -> None:
    """Wait until events are acknowledged up to this one."""
    while (kept := (await appliance.hear_kind(messages.EventsKept)).number) < number:
        pass
    assert kept == number


def test_events_are_kept_once_and_in_order_when_they_come_again(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with connected_plant(tmp_path / "gm") as (gm, appliance, _user):
            said = [messages.ApplianceEvent(number=n, kind="locked", at=float(n), text=f"event {n}") for n in (1, 2, 4)]
            for event in (*said, *said):
                await appliance.say(event)
            # What came while the first was written is told apart.
            await _kept_up_to(appliance, 4)
            assert isinstance(await appliance.log_in("run-2"), messages.Welcome)
            await appliance.say(said[0])
            await appliance.say(messages.ApplianceEvent(number=5, kind="unlocked", at=5.0, text="event 5"))
            await _kept_up_to(appliance, 5)
            appliance_id = appliance.enrolment.peer_id
            kept = [record.text for record in gm.read(list_events, appliance_id)]
            assert kept == ["event 5", "event 4", "event 2", "event 1"]

    asyncio.run(scenario())


def test_events_of_another_unit_are_kept_when_it_takes_the_appliances_place(tmp_path: Path) -> None:
    """It counts from 1 again: twice, to see that nothing gets into the way of anything."""

    async def scenario() -> None:
        async with connected_plant(tmp_path / "gm") as (gm, appliance, _user):
            for unit in ("first", "second", "third"):
                for number in (1, 2):
                    text = f"{unit} {number}"
                    await appliance.say(messages.ApplianceEvent(number=number, kind="x", at=1.0, text=text))
                await _kept_up_to(appliance, 2)
                gm.write(lambda session: begin_anew(session, get_appliance(session, PATH)))
            kept = [record.text for record in gm.read(list_events, appliance.enrolment.peer_id)]
            assert kept == ["third 2", "third 1", "second 2", "second 1", "first 2", "first 1"]

    asyncio.run(scenario())


def test_scan_brings_what_the_appliance_found_when_it_answers_in_parts(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with connected_plant(tmp_path / "gm") as (gm, appliance, _user):
            desk, peer = gm.server.appliance_desk, gm.server.peers.appliance(appliance.enrolment.peer_id)
            assert peer is not None
            asking = asyncio.create_task(desk.scans.scan(peer))
            asked = await appliance.hear_kind(messages.Scan)
            with pytest.raises(Refused, match="scanning already"):
                await desk.scans.scan(peer)
            plc, hmi = messages.FoundDevice(address="192.168.1.10"), messages.FoundDevice(address="192.168.1.11")
            foreign = messages.FoundDevice(address="192.168.1.66")
            for request_id, found in ((asked.request_id, plc), (asked.request_id + 1, foreign)):
                await appliance.say(messages.ScanResult(request_id=request_id, found=(found,), finished=False))
            await appliance.say(messages.ScanResult(request_id=asked.request_id, found=(hmi,), finished=True))
            assert await asking == (plc, hmi)
            asking = asyncio.create_task(desk.scans.scan(peer))
            await appliance.hear_kind(messages.Scan)
            appliance.close()
            with pytest.raises(Refused, match="lost its connection"):
                await asking

    asyncio.run(scenario())


def test_firmware_that_nobody_offers_is_refused_and_the_connection_goes_on(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with connected_plant(tmp_path / "gm") as (_gm, appliance, _user):
            await appliance.say(messages.FirmwareProgress(bundle_id="b", state="good"))
            await appliance.say(messages.FirmwareFetch(request_id=4, bundle_id="b", offset=0))
            assert (await appliance.hear_kind(messages.Refusal)).request_id == 4
            await appliance.say(messages.ApplianceEvent(number=1, kind="x", at=0, text=""))
            assert (await appliance.hear_kind(messages.EventsKept)).number == 1

    asyncio.run(scenario())


def allow_bridged(gm: RunningGm, grant_id: str, *, bridged: bool) -> None:
    from gm_server.database.tables import Grant

    def change(session: Session) -> None:
        session.get_one(Grant, grant_id).bridged = bridged

    gm.write(change)


def test_bridged_session_is_refused_when_no_grant_allows_it_and_ends_with_its_grant(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with connected_plant(tmp_path / "gm") as (gm, appliance, user):
            grant = gm.grant()
            refusal = await user.ask_for(appliance, mode="bridged")
            assert refusal.code == "not-bridged"
            allow_bridged(gm, grant, bridged=True)
            opened = await open_session(user, appliance, mode="bridged")
            assert (opened.connected.mode, opened.opened.mode) == ("bridged", "bridged")
            allow_bridged(gm, grant, bridged=False)
            assert (await user.hear_kind(messages.EndSession)).code == "grant-ended"
            opened.close()

    asyncio.run(scenario())


def test_samples_say_how_it_was_when_bytes_went_and_are_thinned_with_age(tmp_path: Path) -> None:
    async def carried(gm: RunningGm, appliance: Appliance, user: User) -> None:
        gm.grant()
        opened = await open_session(user, appliance)
        await user.say(messages.Disconnect(request_id=1, session_id=opened.session_id))
        opened.close()
        await until(lambda: not len(gm.server.sessions.live))
        appliance_id, sampling = appliance.enrolment.peer_id, gm.server.appliance_desk.sampling
        await until(lambda: gm.server.sessions.traffic._counts.get(appliance_id) == (14, 14))
        await sampling.take()
        samples = gm.read(samples_of, appliance_id, 0.0)
        assert [(sample.online, sample.bytes_from_users) for sample in samples][-1] == (True, 14)
        now = gm.clock()
        old = [Sample(appliance_id, now - STEPS[0][0] - number * 60.0, online=True) for number in range(1, 61)]
        gone = [Sample(appliance_id, now - STEPS[-1][0] - 60.0, online=True)]
        gm.write(add_samples, [*old, *gone, Sample("sm-removed", now, online=True)])
        assert gm.write(thin_samples, now) >= 56
        left = gm.read(samples_of, appliance_id, 0.0)
        assert 4 <= len(left) - len(samples) <= 5
        assert gm.write(thin_samples, now) == 0

    async def scenario() -> None:
        async with connected_plant(tmp_path / "gm") as (gm, appliance, user):
            await carried(gm, appliance, user)

    asyncio.run(scenario())


def test_virtual_address_is_nobody_elses_when_devices_come_and_go(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with connected_plant(tmp_path / "gm") as (gm, _appliance, _user):

            def add(session: Session) -> None:
                for number in range(3):
                    device = add_device(session, PATH, f"d{number}", f"192.168.1.{20 + number}")
                    add_services(session, f"{PATH}/{device.name}", (messages.Service("ping", "icmp"),))

            gm.write(add)
            numbers = gm.read(lambda session: list(session.scalars(select(Device.virtual_number))))
            assert sorted(number for number in numbers if number) == [1, 2, 3, 4]

    asyncio.run(scenario())

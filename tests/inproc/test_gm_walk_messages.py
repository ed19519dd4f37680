"""The walk over control messages: every one, said by people and SiteManagers of both worlds about the other's things.

Who may say what at all is in ``test_gm_who_may_say_what``. A message that is not in one of the tables here fails.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any, Final

import msgspec
import pytest
from sqlalchemy import func, select

from gatelink import messages
from gatelink.messages import DeviceState
from gm_server.acts.grants import NewGrant, add_grant
from gm_server.acts.relays import NewRelay, add_relay
from gm_server.acts.rollouts import NewRollout, start_rollout
from gm_server.acts.users import NewUser, add_user
from gm_server.database.tables import AccessRequest, ApplianceEventRecord, Device, FirmwareTarget, Relay
from gm_server.database.tables import Appliance as ApplianceRecord
from inproc.firmware_bundles import keep_bundle
from inproc.gm_people import CONSOLE, World, settle
from inproc.gm_running import DEADLINE_S, Appliance, OpenedSession, RunningGm, User, open_session, running_gm

PEOPLE: Final = ("tundra-fitter", "holder", "tundra-operator", "zenith-worker", "plain")
"""Of tundra's press1: fitter was granted all, holder one device, the others nothing."""
_AT_THE_LOGIN: Final = {"user-login", "appliance-login", "login-answer", "login-resend", "ping", "pong"}
"""Said about oneself alone."""


class Scene(msgspec.Struct):
    """Both worlds with everybody connected, and a session of tundra's fitter with press1."""

    gm: RunningGm
    worlds: dict[str, World]
    people: dict[str, User]
    press: Appliance
    palletiser: Appliance
    session: OpenedSession
    offers: list[messages.FirmwareOffer] = []
    """Of firmware, to press1."""

    @property
    def is_live(self) -> bool:
        """Whether the session goes on."""
        return self.gm.server.sessions.live.get(self.session.session_id) is not None


async def _list_appliances(scene: Scene) -> None:
    seen = {}
    for name, person in scene.people.items():
        await person.say(messages.ListAppliances(request_id=1))
        answer = await person.hear_kind(messages.ApplianceList)
        seen[name] = {f"{device.name}:{service.name}" for item in answer.appliances for device in item.devices
                      for service in device.services if item.name == "press1"}  # fmt: skip
        if name != "zenith-worker":
            assert "palletiser" not in str(answer), name
    both = {"plc:modbus", "plc:vnc"}
    assert seen == {"tundra-fitter": both, "holder": {"plc:modbus"}} | {key: set() for key in PEOPLE[2:]}


async def _connect(scene: Scene) -> None:
    refusals = set()
    for name in PEOPLE[2:]:
        person = scene.people[name]
        for appliance_id in (scene.worlds["tundra"].appliance, "sm-0000000000000000"):
            await person.say(messages.Connect(request_id=2, appliance_id=appliance_id))
            refusals.add((await person.hear_kind(messages.Refusal)).text)
    assert len(refusals) == 1
    holder = scene.people["holder"]
    other = messages.Connect(request_id=3, appliance_id=scene.worlds["zenith"].appliance)
    await holder.say(other)
    assert (await holder.hear_kind(messages.Refusal)).text in refusals


async def _disconnect(scene: Scene) -> None:
    refusals = set()
    for name in PEOPLE[1:]:
        person = scene.people[name]
        for session_id in (scene.session.session_id, "ses-0000000000000000"):
            await person.say(messages.Disconnect(request_id=4, session_id=session_id))
            refusals.add(type(await person.hear()))
    assert len(refusals) == 1
    assert scene.is_live


async def _user_session_ended(scene: Scene) -> None:
    for name in PEOPLE[1:]:
        await scene.people[name].say(messages.SessionEnded(session_id=scene.session.session_id, reason="mine now"))
        await _settled(scene.people[name])
    assert scene.is_live


async def _watch_tree(scene: Scene) -> None:
    for person in scene.people.values():
        await person.say(messages.WatchTree(request_id=5))
        assert (await person.hear_kind(messages.Done)).request_id == 5


async def _request_access(scene: Scene) -> None:
    refusals = set()
    for name in PEOPLE:
        person = scene.people[name]
        for appliance_id in (scene.worlds["tundra"].appliance, "sm-0000000000000000"):
            await person.say(messages.RequestAccess(request_id=6, appliance_id=appliance_id, reason="to see"))
            answer = await person.hear_kind(messages.Refusal)
            refusals.add(answer.text.replace(appliance_id, "ID"))
    assert len(refusals) == 1
    assert scene.gm.read(lambda session: session.scalar(select(func.count()).select_from(AccessRequest))) == 0


def _relay_of_the_first(scene: Scene) -> str:
    """A permanent relay that is for the first of the people alone; made once."""
    gm, device = scene.gm, scene.worlds["tundra"].device
    found = gm.read(lambda session: session.scalar(select(Relay.id)))
    new = NewRelay(name="logger", direction="push", device=device, user=PEOPLE[0], port=1883)
    return found or gm.write(add_relay, CONSOLE, new, gm.clock()).id


async def _watch_relays(scene: Scene) -> None:
    relay_id = _relay_of_the_first(scene)
    for name, person in scene.people.items():
        await person.say(messages.WatchRelays(request_id=7))
        await person.hear_kind(messages.Done)
        told = await person.hear_kind(messages.Relays)
        assert [duty.relay_id for duty in told.relays] == [relay_id] * (name == PEOPLE[0]), name


async def _relay_states(scene: Scene) -> None:
    relay_id = _relay_of_the_first(scene)
    for name in PEOPLE[1:]:
        lie = messages.RelayState(relay_id, "listening", "mine now")
        await scene.people[name].say(messages.RelayStates(states=(lie,)))
        await _settled(scene.people[name])
    assert relay_id not in scene.gm.server.relays.told()


BY_USERS: Final[dict[str, Callable[[Scene], Awaitable[None]]]] = {
    "list-appliances": _list_appliances,
    "connect": _connect,
    "disconnect": _disconnect,
    "session-ended": _user_session_ended,
    "watch-tree": _watch_tree,
    "request-access": _request_access,
    "watch-relays": _watch_relays,
    "relay-states": _relay_states,
}


async def _of_the_session(scene: Scene, kind: Callable[..., messages.Message], **fields: Any) -> None:
    await scene.palletiser.say(kind(session_id=scene.session.session_id, **fields))
    await _settled(scene.palletiser)
    assert scene.is_live


async def _device_states(scene: Scene) -> None:
    state = DeviceState(device_id=scene.worlds["tundra"].device, reachable=False, checked_at=1.0, text="gone")
    await scene.palletiser.say(messages.DeviceStates(states=(state,)))
    await _settled(scene.palletiser)
    await _written(scene)
    device_id = scene.worlds["tundra"].device
    assert scene.gm.read(lambda session: session.get_one(Device, device_id).check_text) != "gone"


async def _status(scene: Scene) -> None:
    await scene.palletiser.say(messages.ApplianceStatus(hardware="palletiser's own"))
    await _settled(scene.palletiser)
    await _written(scene)
    press_id = scene.worlds["tundra"].appliance
    assert scene.gm.read(lambda session: session.get_one(ApplianceRecord, press_id).hardware) == ""


async def _event(scene: Scene) -> None:
    await scene.palletiser.say(messages.ApplianceEvent(number=1, kind="lock", at=1.0, text="palletiser's own"))
    await _settled(scene.palletiser)
    await _written(scene)
    kept = select(ApplianceEventRecord.appliance_id)
    assert set(scene.gm.read(lambda session: session.scalars(kept).all())) <= {scene.worlds["zenith"].appliance}


async def _scan_result(scene: Scene) -> None:
    await scene.palletiser.say(messages.ScanResult(request_id=1, found=(), finished=True))
    await _settled(scene.palletiser)


async def _offered_to_press(scene: Scene) -> messages.FirmwareOffer:
    """What tundra rolls out to its press1."""
    known = scene.offers
    if not known:
        gm = scene.gm
        bundle = keep_bundle(gm, CONSOLE, "1.0", "tundra")
        new = NewRollout(bundle=bundle.id, appliances=("tundra/line3/press1",))
        gm.write(start_rollout, CONSOLE, gm.directory.bundle_files(), new, gm.clock())
        known.append(await scene.press.hear_kind(messages.FirmwareOffer))
    return known[0]


async def _firmware_fetch(scene: Scene) -> None:
    offer = await _offered_to_press(scene)
    for bundle_id in (offer.bundle_id, "bnd-0000000000000000"):
        await scene.palletiser.say(messages.FirmwareFetch(request_id=1, bundle_id=bundle_id, offset=0))
        assert (await scene.palletiser.hear_kind(messages.Refusal)).code == "unknown-bundle"


async def _firmware_progress(scene: Scene) -> None:
    offer = await _offered_to_press(scene)
    await scene.palletiser.say(messages.FirmwareProgress(bundle_id=offer.bundle_id, state="failed", text="mine now"))
    await _settled(scene.palletiser)
    await scene.gm.server.appliance_desk.firmware.step()
    [target] = scene.gm.read(lambda session: session.scalars(select(FirmwareTarget)).all())
    assert (target.appliance_id, target.state) == (scene.worlds["tundra"].appliance, "offered")


BY_APPLIANCES: Final[dict[str, Callable[[Scene], Awaitable[None]]]] = {
    "session-ended": lambda scene: _of_the_session(scene, messages.SessionEnded, reason="mine now"),
    "session-refused": lambda scene: _of_the_session(scene, messages.SessionRefused, code="locked", text="mine now"),
    "device-states": _device_states,
    "appliance-status": _status,
    "appliance-event": _event,
    "scan-result": _scan_result,
    "firmware-fetch": _firmware_fetch,
    "firmware-progress": _firmware_progress,
}


async def _settled(party: User | Appliance) -> None:
    """Wait until everything that was said before has been worked on."""
    await party.say(messages.Ping(token=4711))
    conversation = party.conversation
    assert conversation is not None
    vocabulary = party._vocabulary
    async with asyncio.timeout(DEADLINE_S):
        while True:
            if await conversation.receive(vocabulary) == messages.Pong(token=4711):
                return


async def _written(scene: Scene) -> None:
    """Wait until what was reported has been written, if it is."""
    await scene.gm.server.appliance_desk.reports.flush()


@contextlib.asynccontextmanager
async def _scene(path: Path) -> AsyncIterator[Scene]:
    async with running_gm(path / "gm") as gm, contextlib.AsyncExitStack() as stack:
        worlds = gm.write(settle, gm.clock())
        gm.write(add_user, CONSOLE, NewUser(name="tundra-fitter", domain="tundra"), gm.clock())
        new = NewGrant(user="tundra-fitter", appliance="tundra/line3/press1")
        gm.write(add_grant, CONSOLE, new, gm.clock())
        appliances = {}
        for place in ("tundra/line3/press1", "zenith/hall/palletiser"):
            appliance = Appliance(gm, await gm.enrolled_appliance(place))
            stack.callback(appliance.close)
            assert isinstance(await appliance.log_in(), messages.Welcome)
            appliances[place.rpartition("/")[2]] = appliance
        people = {}
        for name in PEOPLE:
            person = User(gm, await gm.enrolled_user(name))
            stack.callback(person.close)
            assert isinstance(await person.log_in(), messages.Welcome)
            people[name] = person
        session = await open_session(people["tundra-fitter"], appliances["press1"])
        stack.callback(session.close)
        yield Scene(gm, worlds, people, appliances["press1"], appliances["palletiser"], session)


def test_every_message_is_in_a_table() -> None:
    for vocabulary, table in ((messages.USER_TO_GM, BY_USERS), (messages.APPLIANCE_TO_GM, BY_APPLIANCES)):
        assert vocabulary._known - _AT_THE_LOGIN == set(table)


def test_messages_reach_nothing_that_is_not_ones_own(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with _scene(tmp_path) as scene:
            for table in (BY_USERS, BY_APPLIANCES):
                for name, walk in table.items():
                    try:
                        await walk(scene)
                    except AssertionError as error:
                        pytest.fail(f"{name}: {error}")
            assert scene.is_live

    asyncio.run(scenario())

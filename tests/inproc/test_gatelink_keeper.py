"""Keeping a control connection against a GateManager's end of the wire, and what a channel does by itself."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest

from gatelink import messages
from gatelink.channel import Channel
from gatelink.exceptions import Refused
from gatelink.link.endpoints import Endpoint
from gatelink.link.keeper import Keeper, KeeperSettings
from gatelink.messages import PinAlarm, Ping, Pong, Refusal, Welcome
from gatelink.pins import Pin, make_statement
from gatelink.tls_io import Conversation
from gatelink.wire import ALPN_CONTROL
from inproc.parties import ScriptedGm, gm_identity, party_identity
from inproc.virtual_time import VirtualTimeLoop, run


class _Owner:
    """Notes what the keeper says, with the time."""

    def __init__(self, *ways: Endpoint) -> None:
        self.all_ways = ways
        self.notes: asyncio.Queue[tuple[float, str]] = asyncio.Queue()
        self.alarms: list[tuple[PinAlarm, ...]] = []

    def ways(self) -> tuple[Endpoint, ...]:
        return self.all_ways

    def login(self, way: Endpoint, alarms: tuple[PinAlarm, ...]) -> messages.Message:
        self.alarms.append(alarms)
        return messages.ApplianceLogin(software="test", run_id="r-1", route=way.route)

    def pin_changed(self, pin: Pin) -> None:
        self.note(f"pin {pin.serial}")

    def connected(self, welcome: Welcome, way: Endpoint) -> None:
        self.note(f"connected to {welcome.gm_name} by {way.port}")

    def received(self, message: messages.GmToAppliance) -> None:
        self.note(type(message).__name__)

    def lost(self, reason: str, retry_s: float) -> None:
        self.note(f"lost: {reason}")

    def is_final(self, refusal: Refused) -> bool:
        return refusal.code == "revoked"

    def note(self, text: str) -> None:
        self.notes.put_nowait((asyncio.get_running_loop().time(), text))

    async def next_note(self) -> str:
        return (await self.notes.get())[1]


def _welcoming(
    name: str, *more: messages.Message, keepalive_s: float = 25
) -> Callable[[ssl.SSLSocket], Awaitable[None]]:
    """A GM that welcomes an appliance, sends ``more`` right behind, and answers keepalives until it is cut off."""

    async def script(secured: ssl.SSLSocket) -> None:
        closed: asyncio.Future[str] = asyncio.get_running_loop().create_future()

        def on_message(message: messages.ApplianceToGm) -> None:
            assert isinstance(message, messages.ApplianceLogin)
            welcome = Welcome(
                gm_name=name, peer_id="sm-1", name="press", domain="acme", unix_time_s=1.0, keepalive_s=keepalive_s
            )
            for answer in (welcome, *more):
                channel.send(answer)

        def on_closed(reason: str) -> None:
            if not closed.done():
                closed.set_result(reason)

        channel = Channel(secured, messages.APPLIANCE_TO_GM, keepalive_s, on_message, on_closed)
        try:
            await closed
        finally:
            channel.close("stopped")

    return script


@contextlib.asynccontextmanager
async def _keeping(keeper: Keeper[messages.GmToAppliance]) -> AsyncIterator[None]:
    task = asyncio.create_task(keeper.run())
    try:
        yield
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


def _keeper(owner: _Owner, pin: Pin) -> Keeper[messages.GmToAppliance]:
    return Keeper(owner, pin, party_identity(), messages.GM_TO_APPLIANCE, KeeperSettings())


def test_messages_right_behind_the_welcome_come_after_connected() -> None:
    async def conversation() -> None:
        async with ScriptedGm() as gm:
            end = messages.EndSession(session_id="s-1", code="x", reason="y")
            gm.scripts[ALPN_CONTROL] = _welcoming("gm", end, end)
            owner = _Owner(gm.endpoint)
            async with _keeping(_keeper(owner, gm.pin)):
                assert await owner.next_note() == f"connected to gm by {gm.endpoint.port}"
                assert [await owner.next_note() for _ in range(2)] == ["EndSession", "EndSession"]

    run(conversation())


def test_connection_comes_back_by_itself_when_the_gatemanager_was_away_for_hours() -> None:
    async def conversation() -> None:
        gm = ScriptedGm()
        gm.scripts[ALPN_CONTROL] = _welcoming("gm")
        gm.start()
        owner = _Owner(gm.endpoint)
        async with _keeping(_keeper(owner, gm.pin)):
            await owner.next_note()
            await gm.stop()
            assert (await owner.next_note()).startswith("lost")
            await asyncio.sleep(3 * 3600)
            failures = [owner.notes.get_nowait() for _ in range(owner.notes.qsize())]
            assert 3 * 3600 / 60 < len(failures) < 3 * 3600 / 20  # once in 0..60 s, 30 s on average
            begin = asyncio.get_running_loop().time()
            gm.start()
            while not (await owner.next_note()).startswith("connected"):
                pass
            assert asyncio.get_running_loop().time() - begin <= 60
        await gm.stop()

    run(conversation())


def test_silent_gatemanager_is_noticed_after_two_missed_keepalives() -> None:
    async def silent(secured: ssl.SSLSocket) -> None:
        talk = Conversation(secured, 65536)
        await talk.receive(messages.APPLIANCE_TO_GM)
        await talk.send(Welcome(gm_name="gm", peer_id="s", name="n", domain="", unix_time_s=1.0, keepalive_s=25))
        await asyncio.sleep(3600)

    async def conversation() -> None:
        async with ScriptedGm() as gm:
            gm.scripts[ALPN_CONTROL] = silent
            owner = _Owner(gm.endpoint)
            async with _keeping(_keeper(owner, gm.pin)):
                connected_at, _ = await owner.notes.get()
                lost_at, reason = await owner.notes.get()
            assert reason == "lost: the other side is silent"
            assert 50 <= lost_at - connected_at <= 63

    run(conversation())


def test_idle_connection_lives_for_a_day() -> None:
    async def conversation() -> None:
        async with ScriptedGm() as gm:
            gm.scripts[ALPN_CONTROL] = _welcoming("gm", keepalive_s=300)
            owner = _Owner(gm.endpoint)
            keeper = _keeper(owner, gm.pin)
            async with _keeping(keeper):
                await owner.next_note()
                await asyncio.sleep(24 * 3600)
                assert owner.notes.empty()
                assert keeper.channel is not None
                assert keeper.channel.round_trip_s is not None

    run(conversation())


def test_better_way_is_taken_when_it_works_again() -> None:
    async def conversation() -> None:
        best, second = ScriptedGm(), ScriptedGm()
        second.identity = best.identity
        best.scripts[ALPN_CONTROL], second.scripts[ALPN_CONTROL] = _welcoming("best"), _welcoming("second")
        best.start()
        await best.stop()
        async with second:
            owner = _Owner(best.endpoint, second.endpoint)
            async with _keeping(_keeper(owner, best.pin)):
                assert await owner.next_note() == f"connected to second by {second.endpoint.port}"
                await asyncio.sleep(3000)
                assert owner.notes.empty()
                best.start()
                assert await owner.next_note() == f"connected to best by {best.endpoint.port}"
        await best.stop()

    run(conversation())


def test_machine_in_the_middle_on_one_way_is_reported_over_the_next() -> None:
    async def conversation() -> None:
        async with ScriptedGm() as middle, ScriptedGm() as gm:
            gm.scripts[ALPN_CONTROL] = _welcoming("gm")
            owner = _Owner(middle.endpoint, gm.endpoint)
            async with _keeping(_keeper(owner, gm.pin)):
                assert await owner.next_note() == f"connected to gm by {gm.endpoint.port}"
            (alarm,) = owner.alarms[-1]
            assert (alarm.serial, alarm.route.port) == (middle.identity.serial, middle.endpoint.port)

    run(conversation())


def test_succession_while_running_is_told_and_used() -> None:
    async def conversation() -> None:
        old = gm_identity()
        async with ScriptedGm() as gm:
            gm.statements = (make_statement(old, gm.identity.certificate),)
            gm.scripts[ALPN_CONTROL] = _welcoming("gm")
            owner = _Owner(gm.endpoint)
            keeper = _keeper(owner, Pin(old.certificate, "proof"))
            async with _keeping(keeper):
                assert await owner.next_note() == f"pin {gm.identity.serial}"
                assert await owner.next_note() == f"connected to gm by {gm.endpoint.port}"
                assert keeper.pin.serial == gm.identity.serial

    run(conversation())


def test_final_refusal_ends_the_keeper_and_any_other_is_tried_again() -> None:
    async def conversation() -> None:
        codes = ["busy", "busy", "revoked"]

        async def refuse(secured: ssl.SSLSocket) -> None:
            talk = Conversation(secured, 65536)
            await talk.receive(messages.APPLIANCE_TO_GM)
            await talk.send(Refusal(code=codes.pop(0), text="no"))

        async with ScriptedGm() as gm:
            gm.scripts[ALPN_CONTROL] = refuse
            owner = _Owner(gm.endpoint)
            with pytest.raises(Refused):
                await _keeper(owner, gm.pin).run()
            assert codes == []
            assert owner.notes.qsize() == 2

    run(conversation())


# channels


def test_unknown_message_is_answered_and_the_channel_goes_on() -> None:
    async def conversation() -> None:
        answers: list[object] = []

        async def script(secured: ssl.SSLSocket) -> None:
            talk = Conversation(secured, 65536)
            await talk.receive(messages.APPLIANCE_TO_GM)
            await talk.send(Welcome(gm_name="g", peer_id="s", name="n", domain="", unix_time_s=1.0, keepalive_s=25))
            await talk.send(messages.Done(request_id=9))
            answers.append(await talk.receive(messages.ENROL_TO_PARTY))
            await talk.send(Ping(token=5))
            answers.append(await talk.receive(messages.APPLIANCE_TO_GM))

        async with ScriptedGm() as gm:
            gm.scripts[ALPN_CONTROL] = script
            owner = _Owner(gm.endpoint)
            async with _keeping(_keeper(owner, gm.pin)):
                await owner.next_note()
                assert (await owner.next_note()).startswith("lost: the other side closed")
        refusal, pong = answers
        assert isinstance(refusal, Refusal)
        assert (refusal.code, refusal.request_id) == ("unknown-message", 9)
        assert pong == Pong(token=5)

    run(conversation())


def test_clock_of_the_tests_jumps_instead_of_waiting() -> None:
    async def conversation() -> float:
        await asyncio.sleep(86400)
        loop = asyncio.get_running_loop()
        assert isinstance(loop, VirtualTimeLoop)
        return loop.now

    assert run(conversation()) == 87400
